// Package stack runs the parts of an installation on one machine: PostgreSQL,
// the Temporal server, its Web UI, the Debusine server, a signing worker, and one
// worker for each architecture that the machine runs natively. `debusine standalone` is its one
// command; tests start the first three through StartInfrastructure.
//
// # What a hostile build can reach
//
// Builds run on this machine, so loopback is not a safe place. PostgreSQL
// listens on a socket alone, in a folder that only its own user and root may
// enter, and asks everybody for a password (scram-sha-256). Each port of the
// Temporal server, also those between its services, asks for a certificate of an
// authority that lives in the state folder. The Web UI shows and does not act.
//
// # The state folder
//
//	lock                    held (flock) while a stack runs
//	installation            a short random name, made once
//	server.dsn              the database's connection string, without a secret
//	mirror                  the mirror that the user named, if one
//	run/NAME.pid            pid, start time, boot and program of each running part
//	run/stack.json          the ports, for Attach
//	hold/NAME               while this file exists, NAME is not started again
//	log/NAME.log            0700: what a part said; .1 to .3 are earlier runs
//	pki/                    0700: authority, certificates, passwords, worker tokens
//	pg/                     0700, of PostgreSQL's user: data/ and the socket
//	signing/                0700: the signing worker's service keys (0400), password, token
//	upload/                 0700, the administrator's: targets, ssh.key, known_hosts, netrc, ftp-ca.pem, keyring
//	temporal/, ui/          their configurations, written at each start
//	files/                  0700: the file store
//	worker/NAME/            a worker's own folder
//	client/config.ini       0600: the client's configuration
//
// Started by root, PostgreSQL runs as the system user debusine-pg, which is made
// when it is missing, and the folder lies in /var/lib/debusine, because /root is
// closed to that user and to the builds' one.
//
// # A part that dies
//
// is started again after one second, then two, up to thirty; a part that came up
// and lived ten seconds begins again with one. A file hold/NAME keeps it down:
// make the file, end the pid in run/NAME.pid, and remove the file when the outage
// is over (Stack.Hold and Stack.Release do that). The names are postgresql,
// temporal, ui, server, signing and worker-ARCH.
//
// Each part is told by the kernel when the stack is killed. Whatever survives is
// found through its pid file at the next start and ended, after the start time
// and the program were compared: another process that has its number by now is
// left alone.
//
// # For tests of other packages
//
// A test binary that needs Temporal starts its own infrastructure, in about three
// seconds, and ends it in TestMain:
//
//	func TestMain(m *testing.M) {
//		os.Exit(stack.ForTests(m.Run, &infrastructure))
//	}
//
// or, when the environment variable DEBUSINE_STATE names the state folder of one
// that runs (`debusine standalone --only infrastructure --state DIR` or `make
// up`), uses that, and does not stop it. Stack.NewDatabase gives each test a
// database of its own, Stack.NewNamespace a Temporal namespace, Stack.Client a
// connected client.
package stack
