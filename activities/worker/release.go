package workeract

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"debusine/debian"
	"debusine/task"
)

// fetchRelease fetches the Release file of a repository, in its clear-signed form
// or, where there is none, without its signature. Nothing is believed of it that
// apt does not check when it reads it again.
func (a *attempt) fetchRelease(ctx context.Context, i int, repo task.BootstrapRepository) (path string, err error) {
	address := strings.TrimSuffix(repo.Mirror, "/") + "/dists/" + repo.Suite
	if strings.HasSuffix(repo.Suite, "/") { // flat: sources.list(5)
		address = strings.TrimSuffix(strings.TrimSuffix(repo.Mirror, "/")+"/"+strings.TrimPrefix(repo.Suite, "./"), "/")
	}
	for _, name := range []string{"InRelease", "Release"} {
		to := fmt.Sprintf("%s-%d", name, i)
		if path, err = a.fetchURL(ctx, address+"/"+name, to, ""); !errors.As(err, &unusable{}) {
			return path, err
		}
		delete(a.debug, "fetch-"+to+".log")
	}
	return path, err
}

// dateOf is when a Release file was made; zero when it does not say so.
func dateOf(path string) time.Time {
	file, err := openPlain(path)
	if err != nil {
		return time.Time{}
	}
	defer file.Close()
	text, err := debian.ReadClearsigned(file, 4<<20)
	if err != nil {
		return time.Time{}
	}
	release, err := debian.NewReader(strings.NewReader(string(text))).Next()
	if err != nil {
		return time.Time{}
	}
	date, err := mail.ParseDate(release.Get("Date")) // RFC 2822: "Sat, 28 Nov 2026 14:11:07 UTC"
	if err != nil || date.Unix() <= 0 {
		return time.Time{}
	}
	return date
}

// environment gives mmdebstrap the newest date of the repositories: from the same
// state of the mirror it then makes the same bytes, on whichever day and machine.
func (m *mmdebstrap) environment(a *attempt) map[string]string {
	env := maps.Clone(a.proxy)
	if env == nil {
		env = map[string]string{}
	}
	var newest time.Time
	for _, repo := range m.repos {
		if repo.date.After(newest) {
			newest = repo.date
		}
	}
	if !newest.IsZero() {
		env["SOURCE_DATE_EPOCH"] = strconv.FormatInt(newest.Unix(), 10)
	}
	return env
}
