package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"

	"debusine/sign"
	"debusine/task"
)

// The signing worker's own: what lies in signing/ is no other part's business.
// Its database has a role, and that a password, which no other role needs to know.
const (
	databaseSigning = "debusine_signing"
	roleSigning     = "debusine_signing"
	nameSigning     = "signing"
	signingWorker   = "standalone-signing" // as the server calls it
	signingFolder   = "signing"
	serviceKeys     = "service.keys"
)

// signingPassword reads signing/pgpass, in libpq's form, or makes it.
func (f folder) signingPassword() (string, error) {
	line, err := f.keep(signingFolder+"/pgpass", func() (string, error) {
		word, err := secret(25)
		return "*:*:*:" + roleSigning + ":" + word, err
	})
	if err != nil {
		return "", err
	}
	fields := strings.Split(line, ":")
	if len(fields) != 5 || fields[3] != roleSigning || fields[4] == "" {
		return "", fmt.Errorf("%s has no password for %s; hint: put the file back from a backup", f.path(signingFolder, "pgpass"), roleSigning)
	}
	return fields[4], nil
}

// signingDSN is the signing worker's database, without a secret in it.
func (f folder) signingDSN() string {
	return dsnAt(f.path("pg"), f.path(signingFolder, "pgpass"), roleSigning, databaseSigning)
}

// keepServiceKeys makes the file of service keys in dir, once: whoever loses it
// has lost every key that it protects.
func keepServiceKeys(file string) error {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Written aside: a stop in the middle leaves no half of a key.
	fresh := file + ".fresh"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making the service keys: %w", err)
	}
	if err := sign.CreateServiceKeys(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, file); err != nil {
		return fmt.Errorf("making the service keys: %w", err)
	}
	return nil
}

// signingPart prepares the signing worker, already approved.
func (s *Stack) signingPart(ctx context.Context) (*part, error) {
	if err := keepServiceKeys(s.folder.path(signingFolder, serviceKeys)); err != nil {
		return nil, err
	}
	token := signingFolder + "/token"
	if _, err := s.folder.keep(token, func() (string, error) {
		return s.adminSecret(ctx, "worker", "create", "--signing", "--enable", signingWorker)
	}); err != nil {
		return nil, fmt.Errorf("making the worker %s: %w", signingWorker, err)
	}
	// For `debusine admin --state DIR key`.
	if err := writeFile(s.folder.path(signingFolder, "dsn"), []byte(s.SigningDSN()+"\n"), 0o600); err != nil {
		return nil, err
	}
	pki := func(file string) string { return s.folder.path("pki", file) }
	return &part{name: nameSigning, patience: 30 * time.Second, ready: s.signingReady, command: func() (*exec.Cmd, error) {
		return s.program(context.Background(), "signing", "--api-url", s.API()+"/api", "--token-file", s.folder.path(token),
			"--signing-database", s.SigningDSN(), "--service-keys", s.ServiceKeys(), "--temporal", s.TemporalAddress(),
			"--temporal-tls-ca", pki("ca.crt"), "--temporal-tls-cert", pki("signing.crt"), "--temporal-tls-key", pki("signing.key"))
	}}, nil
}

// SigningDSN is the connection string of the keys' own database, ServiceKeys the
// file that protects them: what `debusine admin key` is given.
func (s *Stack) SigningDSN() string { return s.folder.signingDSN() }

// ServiceKeys is the file of the signing worker's service keys.
func (s *Stack) ServiceKeys() string { return s.folder.path(signingFolder, serviceKeys) }

// signingReady asks Temporal whether the worker that runs now takes work.
func (s *Stack) signingReady(ctx context.Context) error {
	born, err := os.Stat(s.folder.path("run", nameSigning+".pid"))
	if err != nil {
		return fmt.Errorf("looking for %s: %w: %w", nameSigning, err, errNoPart)
	}
	c, err := s.temporal.dial(ctx, Namespace)
	if err != nil {
		return err
	}
	defer c.Close()
	queue, err := c.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{Namespace: Namespace,
		TaskQueue: &taskqueue.TaskQueue{Name: task.SigningQueue, Kind: enums.TASK_QUEUE_KIND_NORMAL}, TaskQueueType: enums.TASK_QUEUE_TYPE_ACTIVITY})
	if err != nil {
		return fmt.Errorf("asking Temporal who takes the work of queue %s: %w", task.SigningQueue, err)
	}
	for _, poller := range queue.GetPollers() {
		// Temporal remembers for some minutes those that have gone.
		if poller.GetIdentity() == signingWorker && poller.GetLastAccessTime().AsTime().After(born.ModTime()) {
			return nil
		}
	}
	return fmt.Errorf("it takes no work of queue %s", task.SigningQueue)
}
