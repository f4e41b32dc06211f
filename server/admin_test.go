package server

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"debusine/store"
	"debusine/store/storetest"
)

// admin runs debusine admin on a database and gives what it printed.
func admin(dsn string, args ...string) (string, error) {
	var out bytes.Buffer
	app := &cli.App{Name: "debusine", Commands: []*cli.Command{AdminCommand()}, Writer: &out, ErrWriter: &out,
		ExitErrHandler: func(*cli.Context, error) {}}
	err := app.Run(append([]string{"debusine", "admin", "--database", dsn}, args...))
	return out.String(), err
}

// step is a command line of debusine admin, and what must be in what it prints,
// or after "!" in the error.
type step struct{ args, want string }

func takeSteps(t *testing.T, steps []step) {
	t.Helper()
	dsn := storetest.DSN(t)
	for _, s := range steps {
		out, err := admin(dsn, strings.Fields(s.args)...)
		fault, wanted := strings.CutPrefix(s.want, "!")
		switch {
		case wanted && (err == nil || !strings.Contains(err.Error(), fault)):
			t.Errorf("%s: error %v, wanted one with %q", s.args, err, fault)
		case !wanted && err != nil:
			t.Errorf("%s: %v", s.args, err)
		case !wanted && !strings.Contains(out, s.want):
			t.Errorf("%s: printed %q, wanted %q", s.args, out, s.want)
		}
	}
}

func TestAdministratorsManagePeopleFromTheCommandLine(t *testing.T) {
	takeSteps(t, []step{
		{"user create first", "made the user first, an owner of the scope debusine"},
		{"user create second s@example.org", "made the user second"},
		{"user create second", "!already exists"},
		{"user create 123", "!not acceptable"},
		{"user create", "!needs NAME"},
		{"user list", "second  s@example.org  true"},
		{"user manage --active=false second", "changed the user second"},
		{"user list", "second  s@example.org  false"},
		{"token create --user nobody", "!hint: debusine admin user create nobody"},
		{"token create", "!for whom?"},
		{"token create --user first --comment laptop --expire 1h", ""},
		{"token create --user first --expire -1h", "!takes a duration above zero"},
		{"token list first", "laptop"},
		{"token delete x", "!named by its number"},
		{"token delete 1", "token 1 is void"},
		{"token delete 1", "!not found"},
		{"scope create kali Kali-Linux", "made the scope kali"},
		{"scope list", "kali      Kali-Linux"},
		{"workspace create --public kali/Main", "made the workspace kali/Main"},
		{"workspace list", "kali/Main        true"},
		{"group create kali/Makers", "made the group kali/Makers"},
		{"group members --add first --add second kali/Makers", "first\nsecond"},
		{"group members --remove first kali/Makers", "second"},
		{"workspace grant-role kali/Main Makers contributor", "Makers is contributor of the workspace kali/Main"},
		{"workspace grant-role kali/Main Makers king", "!hint: the roles are owner, contributor, viewer"},
		{"scope grant-role kali Makers observer", "Makers is observer of the scope kali"},
	})
}

func TestAdministratorsManageMachinesFromTheCommandLine(t *testing.T) {
	metadata := filepath.Join(t.TempDir(), "metadata.yaml")
	if err := os.WriteFile(metadata, []byte("provided_tags:\n- worker:class:small\nrequired_tags: [task:workspace:debusine:System]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := metadata + ".broken"
	if err := os.WriteFile(broken, []byte("- a\n- b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	takeSteps(t, []step{
		{"worker create big --arch amd66", "!architecture \"amd66\" is unknown"},
		{"worker create big --arch amd64", ""},
		{"worker create --enable --arch amd64 big", "!already exists"},
		{"worker list", "big   false"},
		{"worker enable big", "big is enabled"},
		{"worker list", "big   true"},
		{"worker enable none", "!hint: debusine admin worker list"},
		{"worker edit-metadata --set provided_tags=worker:class:big,worker:build-arch:i386 --set site=basement big", ""},
		{"worker edit-metadata big", "- worker:class:big\n    - worker:build-arch:i386\nsite: basement"},
		{"worker edit-metadata --set provided_tags=task:scope:debusine big", "!not tags that an administrator may say"},
		{"worker edit-metadata --set nonsense big", "!has no ="},
		{"worker edit-metadata --set site= big", "changed what is said of big"},
		{"worker edit-metadata --file " + metadata + " big", ""},
		{"worker edit-metadata --file " + broken + " big", "!not a YAML mapping"},
		{"worker edit-metadata --file /nowhere big", "!no such file"},
		{"worker list", "worker:class:small"},
		{"worker edit-metadata big --set provided_tags=worker:class:big --nonsense", "!flag --nonsense is unknown"},
		{"worker edit-metadata big --set", "!needs a value"},
		{"worker edit-metadata big --set site=attic", ""},
		{"worker edit-metadata big", "site: attic"},
		{"worker edit-metadata big --set tasks_denylist=mmdebstrap,sleep", ""},
		{"worker edit-metadata big", "tasks_denylist:\n    - mmdebstrap\n    - sleep"},
		{"worker edit-metadata big --set tasks_allowlist=sbild", "!hint: known: assemblesignedsource"},
		{"worker manage big", "!hint: --concurrency N"},
		{"worker manage big --concurrency 4", "big takes 4 work requests at once"},
		{"worker manage big --concurrency 0", "!not acceptable"},
		{"worker drain big", "big drains: it gets nothing new"},
		{"worker drain big --drain=false", "big takes work again"},
		{"worker disable big", "big is disabled"},
		{"gate add task:workspace:debusine:System", "is a gate"},
		{"gate list", "task:workspace:debusine:System"},
		{"gate add worker:class:big", "!hint: for example task:"},
		{"gate remove task:workspace:debusine:System", "is no gate"},
	})
}

func TestARefusalHasTheExitStatusOfARefusal(t *testing.T) {
	dsn := storetest.DSN(t)
	for args, want := range map[string]int{
		"worker enable none": 3, "user create 123": 3, "gate add nonsense": 3,
		"user create": 2, "token create": 2, "token delete x": 2,
	} {
		_, err := admin(dsn, strings.Fields(args)...)
		var status cli.ExitCoder
		if !errors.As(err, &status) || status.ExitCode() != want {
			t.Errorf("%s: %v, not exit status %d", args, err, want)
		}
	}
	if _, err := admin("postgresql:///none?host=/nowhere", "user", "list"); err == nil || err.(cli.ExitCoder).ExitCode() != 3 {
		t.Errorf("no database: %v", err)
	}
}

func TestASecretStandsAloneOnTheLastLineAndWorks(t *testing.T) {
	dsn := storetest.DSN(t)
	if _, err := admin(dsn, "user", "create", "first"); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), dsn, "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, args := range [][]string{{"token", "create", "--user", "first"}, {"worker", "create", "w", "--enable"}, {"token", "create", "--worker-activation"}} {
		out, err := admin(dsn, args...)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if _, err := db.Principal(t.Context(), lines[len(lines)-1]); err != nil {
			t.Errorf("%v printed %q: %v", args, out, err)
		}
	}
	w, err := db.WorkerNamed(t.Context(), "w")
	if err != nil || !w.Enabled {
		t.Errorf("worker create NAME --enable did not enable it: %+v %v", w, err)
	}
}

func TestTheDatabaseIsNamedOrFoundInAStateFolder(t *testing.T) {
	run := func(args ...string) error {
		app := &cli.App{Name: "debusine", Commands: []*cli.Command{AdminCommand()}, Writer: &bytes.Buffer{}, ExitErrHandler: func(*cli.Context, error) {}}
		return app.Run(append([]string{"debusine", "admin"}, args...))
	}
	if err := run("user", "list"); err == nil || !strings.Contains(err.Error(), "hint: debusine admin --database DSN") {
		t.Error(err)
	}
	state := t.TempDir()
	if err := run("--state", state, "user", "list"); err == nil || !strings.Contains(err.Error(), "has started") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(state, "server.dsn"), []byte(storetest.DSN(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run("--state", state, "user", "list"); err != nil {
		t.Error(err)
	}
}
