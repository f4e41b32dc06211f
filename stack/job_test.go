package stack

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"debusine/executor"
	"debusine/executor/executortest"
)

// reach is what a hostile build tries, with all that it could have learnt: each
// port of the stack (API, Web UI, Temporal's frontend, internode and ring ports),
// PostgreSQL by TCP and by its socket, writes to the Web UI, and the files with
// the keys.
const reach = `
use IO::Socket::INET; use Socket;
for my $host (split / /, $ENV{HOSTS}) {
	for my $port ($ENV{BASE} .. $ENV{BASE} + $ENV{COUNT} - 1, 5432) {
		next if $port == 5432 and $host !~ /^(127|10\.0\.2)\./; # the administrator may have one there
		my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 1) or next;
		print "ESCAPED: $host:$port\n";
		print $s "POST /api/v1/namespaces/debusine/workflows/x HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
	}
}
for my $dir ("$ENV{STATE}/pg", "/run/postgresql", "/var/run/postgresql", "/tmp") {
	socket(my $u, PF_UNIX, SOCK_STREAM, 0);
	print "ESCAPED: PostgreSQL in $dir\n" if connect($u, pack_sockaddr_un("$dir/.s.PGSQL.5432"));
}
for my $secret (glob("$ENV{STATE}/pki $ENV{STATE}/pg $ENV{STATE}/signing $ENV{STATE}/upload"), map { "$ENV{STATE}/$_" } qw(pki/pgpass pki/signing.key signing/pgpass signing/service.keys signing/token upload/ssh.key)) {
	print "ESCAPED: $secret\n" if opendir(my $d, $secret) or open(my $f, "<", $secret) and defined <$f>;
}
print "all tried\n";
`

func jobReachesNothing(t *testing.T, s *Stack) {
	if os.Geteuid() != 0 {
		t.Skip("without root a job has no namespaces")
	}
	// The API of this stack is not started: something else stands on its port.
	api, err := net.Listen("tcp", s.ports.address(portAPI))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	result, said := executortest.Shell(t, executortest.Open(t), t.Context(), `exec perl -e "$SCRIPT"`, func(c *executor.Command) {
		c.Env = map[string]string{"SCRIPT": reach, "HOSTS": "127.0.0.1 10.0.2.2 " + strings.Join(addresses(t), " "),
			"BASE": strconv.Itoa(s.ports.Base), "COUNT": strconv.Itoa(portCount), "STATE": s.State()}
	})
	if !result.Succeeded() || said != "all tried\n" {
		t.Errorf("%d: %s", result.ExitCode, said)
	}
}

// addresses are this machine's own, other than loopback: a job may reach what
// listens there.
func addresses(t *testing.T) []string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, address := range all {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && !network.IP.IsLoopback() {
			found = append(found, network.IP.String())
		}
	}
	return found
}
