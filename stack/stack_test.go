package stack

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// startReal starts an infrastructure that ends with the test.
func startReal(t *testing.T) *Stack {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL and Temporal")
	}
	s, err := StartInfrastructure(t.Context(), Options{State: string(newFolder(t))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop(context.Background())
		if left := marked(s.folder); len(left) > 0 {
			t.Errorf("a clean stop left %v", left)
		}
	})
	return s
}

func TestInfrastructure(t *testing.T) {
	s := startReal(t)
	t.Run("a standalone activity and a workflow with search attributes run", func(t *testing.T) { workRuns(t, s) })
	t.Run("no port of Temporal answers without a certificate of ours", func(t *testing.T) { portsAreClosed(t, s) })
	t.Run("PostgreSQL is closed to other users, roles and passwords", func(t *testing.T) { databaseIsClosed(t, s) })
	t.Run("the Web UI shows and does not act", func(t *testing.T) { uiOnlyShows(t, s) })
	t.Run("a job of this machine reaches nothing of it", func(t *testing.T) { jobReachesNothing(t, s) })
	t.Run("everything listens on loopback alone", func(t *testing.T) { loopbackOnly(t, s) })
	t.Run("a second stack in the same folder is refused", func(t *testing.T) {
		_, err := StartInfrastructure(t.Context(), Options{State: s.State()})
		if err == nil || !strings.Contains(err.Error(), "already runs") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("a second stack on the same ports is refused", func(t *testing.T) {
		_, err := StartInfrastructure(t.Context(), Options{State: string(newFolder(t)), PortBase: s.ports.Base})
		if err == nil || !strings.Contains(err.Error(), "--port-base") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("another process attaches", func(t *testing.T) { attaches(t, s) })
	t.Run("two stacks run side by side", func(t *testing.T) {
		other := startReal(t)
		workRuns(t, other)
		workRuns(t, s)
	})
}

func connect(t *testing.T, s *Stack) client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := s.Client(ctx, Namespace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// workRuns runs one of each kind that Debusine's work consists of.
func workRuns(t *testing.T, s *Stack) {
	c := connect(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w := worker.New(c, "test", worker.Options{})
	w.RegisterActivityWithOptions(func(context.Context) (string, error) { return "done", nil }, activity.RegisterOptions{Name: "deed"})
	w.RegisterWorkflowWithOptions(func(workflow.Context) error { return nil }, workflow.RegisterOptions{Name: "story"})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()

	id := fmt.Sprintf("test/%d", time.Now().UnixNano())
	deed, err := c.ExecuteActivity(ctx, client.StartActivityOptions{ID: id, TaskQueue: "test", StartToCloseTimeout: time.Minute}, "deed")
	if err != nil {
		t.Fatalf("starting a standalone activity: %v", err)
	}
	var said string
	if err := deed.Get(ctx, &said); err != nil || said != "done" {
		t.Fatalf("the activity answers %q: %v", said, err)
	}
	attributes := sdk.NewSearchAttributes(
		sdk.NewSearchAttributeKeyKeyword("Workspace").ValueSet("System"),
		sdk.NewSearchAttributeKeyKeywordList("Architecture").ValueSet([]string{"amd64", "all"}),
		sdk.NewSearchAttributeKeyInt64("WorkRequest").ValueSet(42))
	story, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id + "/w", TaskQueue: "test", TypedSearchAttributes: attributes}, "story")
	if err != nil {
		t.Fatalf("starting a workflow: %v", err)
	}
	if err := story.Get(ctx, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the workflow is found by its search attributes", func() bool {
		found, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: Namespace, Query: "Architecture = 'all' AND WorkRequest = 42 AND Workspace = 'System' AND WorkflowId = '" + id + "/w'"})
		return err == nil && found.Count == 1
	})
}

// portsAreClosed tries each of the eight ports with no certificate, with one of
// another authority, and in plain text; the right certificate shows that the test
// can tell.
func portsAreClosed(t *testing.T, s *Stack) {
	stranger := newFolder(t)
	if err := stranger.certificates(time.Now()); err != nil {
		t.Fatal(err)
	}
	ours, err := s.TLS()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := stranger.clientTLS("client")
	if err != nil {
		t.Fatal(err)
	}
	theirs.RootCAs = ours.RootCAs
	nobody := &tls.Config{RootCAs: ours.RootCAs, ServerName: "localhost"}
	for port := portFrontend; port <= portWorkerRing; port++ {
		address := s.ports.address(port)
		if !admits(t, address, ours) {
			t.Errorf("port %d (%s) refuses our own certificate", port, address)
		}
		if admits(t, address, nobody) {
			t.Errorf("port %d (%s) takes a client without a certificate", port, address)
		}
		if admits(t, address, theirs) {
			t.Errorf("port %d (%s) takes a client of another authority", port, address)
		}
		if admits(t, address, nil) {
			t.Errorf("port %d (%s) speaks plain text", port, address)
		}
	}
}

// admits says whether the port still listens to a client that has introduced
// itself: one without right is cut off; one with right may keep silent, or is
// answered. In plain text it begins to speak HTTP/2, and wants an answer in it.
func admits(t *testing.T, address string, as *tls.Config) bool {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatalf("reaching %s: %v", address, err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	answer := make([]byte, 9)
	if as == nil {
		io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		_, err := io.ReadFull(conn, answer)
		return err == nil
	}
	as = as.Clone()
	as.NextProtos = []string{"h2"}
	secured := tls.Client(conn, as)
	if err := secured.Handshake(); err != nil {
		return false
	}
	_, err = secured.Read(answer)
	var slow net.Error
	return err == nil || errors.As(err, &slow) && slow.Timeout()
}

func databaseIsClosed(t *testing.T, s *Stack) {
	ctx := t.Context()
	if conn, err := pgx.Connect(ctx, s.DSN()); err != nil {
		t.Errorf("our own connection: %v", err)
	} else {
		conn.Close(ctx)
	}
	if conn, err := pgx.Connect(ctx, s.SigningDSN()); err != nil {
		t.Errorf("the signing worker's own connection: %v", err)
	} else {
		conn.Close(ctx)
	}
	socket := s.folder.path("pg")
	for name, dsn := range map[string]string{
		"no password":                           "host=" + socket + " user=postgres dbname=postgres passfile=/nonexistent",
		"a wrong password":                      "host=" + socket + " user=debusine dbname=debusine password=guess passfile=/nonexistent",
		"Temporal's role in our database":       s.folder.dsn(roleTemporal, databaseOurs),
		"our role in Temporal's database":       s.folder.dsn(roleOurs, databaseTemporal),
		"TCP":                                   "host=127.0.0.1 port=5432 user=postgres dbname=postgres connect_timeout=2",
		"our role in the keys' database":        s.folder.dsn(roleOurs, databaseSigning),
		"Temporal's role in the keys' database": s.folder.dsn(roleTemporal, databaseSigning),
		"the keys' role in our database":        dsnAt(socket, s.folder.path(signingFolder, "pgpass"), roleSigning, databaseOurs),
		"the keys' role in Temporal's":          dsnAt(socket, s.folder.path(signingFolder, "pgpass"), roleSigning, databaseTemporal),
		"the keys' role, by the server's file":  s.folder.dsn(roleSigning, databaseSigning),
		"Temporal's role in the maintenance":    s.folder.dsn(roleTemporal, "template1") + " password=guess",
	} {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			conn.Close(ctx)
			t.Errorf("admitted: %s", name)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	other := exec.Command("psql", "-h", socket, "-U", "postgres", "-w", "-c", "SELECT 1")
	other.Dir = "/"
	other.Env = []string{"PATH=" + os.Getenv("PATH"), "PGPASSFILE=" + s.folder.path("pki", "pgpass")}
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	said, err := other.CombinedOutput()
	if err == nil || !strings.Contains(string(said), "Permission denied") {
		t.Errorf("another user: %v: %s", err, said)
	}
}

func uiOnlyShows(t *testing.T, s *Stack) {
	if err := answers(t.Context(), s.UI()+"/api/v1/namespaces/"+Namespace+"/workflows"); err != nil {
		t.Errorf("reading: %v", err)
	}
	said, err := exec.Command("bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/"$0"
printf 'POST /api/v1/namespaces/debusine/workflows/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}' >&3
cat <&3`, portText(s.ports.at(portUI))).Output()
	status, _, _ := strings.Cut(string(said), "\r\n")
	// The answer is what counts: cat may meet a connection that was reset after it.
	if !strings.Contains(status, " 405") && !strings.Contains(status, " 403") && !strings.Contains(status, " 400") {
		t.Errorf("acting is answered %q: %v", status, err)
	}
}

// loopbackOnly reads the kernel's table of listeners: proc(5), net/tcp.
func loopbackOnly(t *testing.T, s *Stack) {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[3] != "0A" {
				continue
			}
			address, hex, _ := strings.Cut(fields[1], ":")
			var port int
			fmt.Sscanf(hex, "%X", &port)
			if port >= s.ports.Base && port < s.ports.Base+portCount && address != "0100007F" {
				t.Errorf("port %d listens on %s", port, address)
			}
		}
	}
}

func attaches(t *testing.T, s *Stack) {
	other, err := Attach(s.State())
	if err != nil {
		t.Fatal(err)
	}
	dsn, drop, err := other.NewDatabase(t.Context(), "attached")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE mine ()"); err != nil {
		t.Error(err)
	}
	if err := drop(); err != nil {
		t.Error(err)
	}
	if err := other.NewNamespace(t.Context(), "attached"); err != nil {
		t.Error(err)
	}
	if got := strings.Join(other.Parts(), " "); got != "postgresql temporal ui" {
		t.Errorf("its parts are %s", got)
	}
	other.Stop(t.Context())
	if _, err := s.Pid(namePostgres); err != nil {
		t.Errorf("an attached stack stopped what is not its own: %v", err)
	}
}

func TestKilledPartsComeBack(t *testing.T) {
	s := startReal(t)
	for _, name := range []string{namePostgres, nameTemporal, nameUI} {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		if err := s.Kill(name); err != nil {
			t.Fatal(err)
		}
		if err := s.Await(ctx, name); err != nil {
			t.Fatal(err)
		}
		cancel()
		t.Logf("%s is back", name)
	}
	workRuns(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := s.Hold(nameTemporal); err != nil {
		t.Fatal(err)
	}
	time.Sleep(firstPause + 500*time.Millisecond)
	if _, err := s.Pid(nameTemporal); err == nil {
		t.Error("a held Temporal runs")
	}
	if err := s.Release(ctx, nameTemporal); err != nil {
		t.Fatal(err)
	}
	workRuns(t, s)
}

func TestStateSurvivesARestart(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL and Temporal")
	}
	state := string(newFolder(t))
	for round := range 2 {
		s, err := StartInfrastructure(t.Context(), Options{State: state})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), s.DSN())
		if err != nil {
			t.Fatal(err)
		}
		var kept int
		if round == 0 {
			_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS n")
		} else if err = conn.QueryRow(t.Context(), "SELECT n FROM kept").Scan(&kept); kept != 7 {
			t.Errorf("the table holds %d", kept)
		}
		if err != nil {
			t.Error(err)
		}
		conn.Close(t.Context())
		s.Stop(context.Background())
		if left := marked(folder(s.State())); len(left) > 0 {
			t.Errorf("a clean stop left %v", left)
		}
	}
}
