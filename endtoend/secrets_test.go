package endtoend

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/crypto/curve25519"
	"golang.org/x/crypto/nacl/box"
	"google.golang.org/protobuf/proto"

	"debusine/stack"
)

// unsealed is a private key as the signing child sees it: what nobody else may.
func (r *registry) unsealed(t *testing.T, fingerprint string) []byte {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), r.SigningDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var raw []byte
	if err := conn.QueryRow(t.Context(), `SELECT private_key::text FROM keys WHERE fingerprint = $1`, fingerprint).Scan(&raw); err != nil {
		t.Fatal(err)
	}
	var sealed struct{ Encrypted []byte }
	if err := json.Unmarshal(raw, &sealed); err != nil {
		t.Fatal(err)
	}
	private := [32]byte(r.serviceKey(t))
	public, err := curve25519.X25519(private[:], curve25519.Basepoint)
	if err != nil {
		t.Fatal(err)
	}
	plain, ok := box.OpenAnonymous(nil, sealed.Encrypted, (*[32]byte)(public), &private)
	if !ok {
		t.Fatal("the service key does not open the key")
	}
	return plain
}

func (r *registry) serviceKey(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(r.ServiceKeys())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	key, err := base64.StdEncoding.DecodeString(lines[len(lines)-1])
	if err != nil || len(key) != 32 {
		t.Fatalf("%v", err)
	}
	return key
}

// scalar digs the private number out of a key.
func scalar(t *testing.T, private []byte) []byte {
	t.Helper()
	ring, err := openpgp.ReadKeyRing(bytes.NewReader(private))
	if err != nil {
		t.Fatal(err)
	}
	key, ok := ring[0].PrivateKey.PrivateKey.(*eddsa.PrivateKey)
	if !ok || len(key.D) < 32 {
		t.Fatalf("%T", ring[0].PrivateKey.PrivateKey)
	}
	return key.D
}

// traces are the forms in which bytes may stand somewhere: as they are, in
// hexadecimal, in base64 at any offset.
func traces(secret []byte) (all [][]byte) {
	all = [][]byte{secret, []byte(hex.EncodeToString(secret)), []byte(strings.ToUpper(hex.EncodeToString(secret)))}
	for shift := range 3 {
		padded := append(make([]byte, shift), secret...)
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := e.EncodeToString(padded)
			all = append(all, []byte(encoded[4:len(encoded)-4]))
		}
	}
	return all
}

var inHex = regexp.MustCompile(`\\x[0-9a-f]{32,}`)

// seen is what one who looks finds in some bytes: themselves, without the ends of
// lines that armour has, and what PostgreSQL shows in hexadecimal.
func seen(raw []byte) []byte {
	all := append([]byte{}, raw...)
	all = append(all, strings.NewReplacer("\n", "", "\\n", "", "\r", "").Replace(string(raw))...)
	for _, text := range inHex.FindAll(raw, -1) {
		if decoded, err := hex.DecodeString(string(text[2:])); err == nil {
			all = append(all, decoded...)
		}
	}
	return all
}

// tellsNobody greps all that the installation wrote, but for the folder signing/.
func (r *registry) tellsNobody(t *testing.T, token *token) {
	secrets := map[string][]byte{"the service key": r.serviceKey(t), "the token's PIN": []byte(token.right), "the PIN that was wrong": []byte(token.wrong), "the officer's PIN": []byte(token.officer)}
	for i, private := range r.known {
		secrets[fmt.Sprintf("the private number of key %d", i)] = scalar(t, private)
	}
	password, err := os.ReadFile(filepath.Join(r.State(), "signing", "pgpass"))
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Split(strings.TrimSpace(string(password)), ":")
	secrets["the signing database's password"] = []byte(words[4])
	for place, raw := range r.places(t) {
		found := seen(raw)
		for name, secret := range secrets {
			for _, trace := range traces(secret) {
				if bytes.Contains(found, trace) {
					t.Errorf("%s is in %s", name, place)
				}
			}
		}
		if bytes.Contains(found, []byte("PRIVATE KEY")) {
			t.Errorf("there is a private key in %s", place)
		}
		// What must be there shows that the test reads what it thinks it reads.
		if must := place == "database debusine" || place == "database debusine_signing" || place == "signing.log"; must && !(bytes.Contains(found, []byte(r.generated)) && bytes.Contains(found, []byte(token.key))) {
			t.Errorf("not even the fingerprints are in %s", place)
		}
	}
}

// places are all databases, logs, and what Temporal tells its clients.
func (r *registry) places(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{"Temporal's answers": r.histories(t)}
	for _, database := range []string{"debusine", "debusine_signing", "temporal", "temporal_visibility"} {
		all["database "+database] = r.dump(t, database)
	}
	logs, err := filepath.Glob(filepath.Join(r.State(), "log", "*"))
	if err != nil || len(logs) < 5 {
		t.Fatalf("logs: %v %v", logs, err)
	}
	for _, file := range logs {
		if all[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// dump is each row of each table, as text.
func (r *registry) dump(t *testing.T, database string) []byte {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host='%s/pg' user=postgres dbname=%s passfile='%s/pki/pgpass' sslmode=disable", r.State(), database, r.State()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 2 {
		t.Fatalf("%s: %v %v", database, tables, err)
	}
	var out bytes.Buffer
	for _, table := range tables {
		if _, err := conn.PgConn().CopyTo(t.Context(), &out, "COPY (SELECT r::text FROM "+table+" r) TO STDOUT"); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	// COPY writes a backslash twice.
	return bytes.ReplaceAll(out.Bytes(), []byte(`\\`), []byte(`\`))
}

// histories is all that Temporal tells of all workflows and standalone activities.
func (r *registry) histories(t *testing.T) []byte {
	t.Helper()
	ctx := t.Context()
	c, err := r.Client(ctx, stack.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var all []byte
	add := func(m proto.Message, err error) {
		if err != nil {
			t.Fatal(err)
		}
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw...)
	}
	list, err := c.WorkflowService().ListActivityExecutions(ctx, &workflowservice.ListActivityExecutionsRequest{Namespace: stack.Namespace, PageSize: 1000})
	add(list, err)
	if len(list.GetExecutions()) < 5 {
		t.Errorf("Temporal knows %d activities", len(list.GetExecutions()))
	}
	for _, e := range list.GetExecutions() {
		told, err := c.WorkflowService().DescribeActivityExecution(ctx, &workflowservice.DescribeActivityExecutionRequest{Namespace: stack.Namespace,
			ActivityId: e.GetActivityId(), RunId: e.GetRunId(), IncludeInput: true, IncludeOutcome: true})
		add(told, err)
		if told.GetInput() == nil {
			t.Errorf("the input of %s is not seen", e.GetActivityId())
		}
	}
	flows, err := c.WorkflowService().ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: stack.Namespace, PageSize: 1000})
	add(flows, err)
	for _, e := range flows.GetExecutions() {
		history, err := c.WorkflowService().GetWorkflowExecutionHistory(ctx, &workflowservice.GetWorkflowExecutionHistoryRequest{Namespace: stack.Namespace, Execution: e.GetExecution()})
		add(history, err)
	}
	return all
}

// keepsItsAudit: whoever goes round the table's trigger, as its owner can, shows.
func (r *registry) keepsItsAudit(t *testing.T, head string) {
	if said, err := r.key(t, "audit", "--verify", "--head", head); err != nil {
		t.Fatalf("before: %v: %s", err, said)
	}
	conn, err := pgx.Connect(t.Context(), r.SigningDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, c := range []struct{ sql, back, want string }{
		{`DELETE FROM audit WHERE seq = 3`, "", "append-only"},
		{`ALTER TABLE audit DISABLE TRIGGER USER`, "", ""},
		{`UPDATE audit SET entry = replace(entry, '"event":"sign"', '"event":"fail"') WHERE seq = 4`, `UPDATE audit SET entry = replace(entry, '"event":"fail"', '"event":"sign"') WHERE seq = 4`, "entry 4 was changed"},
		{`DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)`, "", "was reported once"},
		{`DELETE FROM audit WHERE seq = 3`, "", "entry 3 is missing"},
	} {
		if _, err := conn.Exec(t.Context(), c.sql); (err != nil) != (c.want == "append-only") {
			t.Fatalf("%s: %v", c.sql, err)
		}
		said, err := r.key(t, "audit", "--verify", "--head", head)
		if tampered := c.want != "" && c.want != "append-only"; tampered != (err != nil) || tampered && !strings.Contains(said, c.want) {
			t.Errorf("after %s: %v: %s", c.sql, err, said)
		}
		if _, err := conn.Exec(t.Context(), c.back); err != nil {
			t.Fatal(err)
		}
	}
}
