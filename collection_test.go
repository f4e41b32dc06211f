package debusine

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestNamesOfCollections(t *testing.T) {
	for name, c := range map[string]struct {
		category, name string
		good           bool
	}{
		"environments of a vendor":       {CategoryEnvironments, "debian", true},
		"environments with a colon":      {CategoryEnvironments, "debian:ports", true},
		"the singleton":                  {CategoryPackageBuildLogs, "_", true},
		"a singleton with a name":        {CategoryPackageBuildLogs, "logs", false},
		"an ordinary one called _":       {CategoryEnvironments, "_", false},
		"a leading underscore":           {CategoryEnvironments, "_debian", false},
		"no name":                        {CategoryEnvironments, "", false},
		"a slash":                        {CategoryEnvironments, "debian/x", false},
		"an at sign":                     {CategoryEnvironments, "debian@x", false},
		"a blank":                        {CategoryEnvironments, "de bian", false},
		"a newline":                      {CategoryEnvironments, "debian\n", false},
		"a NUL byte":                     {CategoryEnvironments, "debian\x00", false},
		"text that runs backwards":       {CategoryEnvironments, "debian\u202exobni", false},
		"bytes that are no UTF-8":        {CategoryEnvironments, "debian\xff", false},
		"a huge name":                    {CategoryEnvironments, strings.Repeat("x", 1<<20), false},
		"a category that does not exist": {"debian:suite", "sid", false},
		"a huge category":                {strings.Repeat("x", 1<<20), "x", false},
	} {
		err := CheckCollection(c.category, c.name)
		if c.good && err != nil || !c.good && !as[Invalid](err) {
			t.Errorf("%s: %.200v", name, err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: a message of %d bytes", name, len(err.Error()))
		}
	}
}

const tarball = `{"filename": "e.tar.xz", "vendor": "debian", "codename": "sid", "architecture": "amd64", "variant": "buildd", "backend": "qemu"}`

func environment(data string) CollectionItem {
	return CollectionItem{Kind: "artifact", Category: CategorySystemTarball, Data: json.RawMessage(data)}
}

func buildLog(kind, data string) CollectionItem {
	return CollectionItem{Kind: kind, Category: CategoryPackageBuildLog, Data: json.RawMessage(data)}
}

var about = map[string]any{"work_request_id": int64(9), "vendor": "debian", "codename": "sid", "architecture": "amd64",
	"srcpkg_name": "hello", "srcpkg_version": "1:2.10-3"}

func TestItemsAreNamedByTheirCollectionsRule(t *testing.T) {
	image := environment(tarball)
	image.Category = "debian:system-image"
	for name, c := range map[string]struct {
		category  string
		item      CollectionItem
		variables map[string]any
		want      string
		data      string
	}{
		"an environment, whose variant is not debootstrap's": {CategoryEnvironments, environment(tarball), nil,
			"tarball:sid:amd64", `{"codename":"sid","architecture":"amd64"}`},
		"an image": {CategoryEnvironments, image, nil, "image:sid:amd64", `{"codename":"sid","architecture":"amd64"}`},
		"under another codename": {CategoryEnvironments, environment(tarball), map[string]any{"codename": "unstable"},
			"tarball:unstable:amd64", `{"codename":"unstable","architecture":"amd64"}`},
		"for a task": {CategoryEnvironments, environment(tarball), map[string]any{"variant": "sbuild"},
			"tarball:sid:amd64:sbuild:", `{"codename":"sid","architecture":"amd64","variant":"sbuild"}`},
		"for a backend": {CategoryEnvironments, environment(tarball), map[string]any{"backend": "unshare"},
			"tarball:sid:amd64::unshare", `{"codename":"sid","architecture":"amd64","backend":"unshare"}`},
		"with a variable that is null": {CategoryEnvironments, environment(tarball), map[string]any{"codename": nil, "variant": nil},
			"tarball:sid:amd64", `{"codename":"sid","architecture":"amd64"}`},
		"a codename with an equals sign": {CategoryEnvironments, environment(tarball), map[string]any{"codename": "a=b"},
			"tarball:a=b:amd64", `{"codename":"a=b","architecture":"amd64"}`},
		"the announcement of a build log": {CategoryPackageBuildLogs, buildLog("bare", ""), about,
			"debian_sid_amd64_hello_1:2.10-3_9", `{"work_request_id":9,"vendor":"debian","codename":"sid","architecture":"amd64","srcpkg_name":"hello","srcpkg_version":"1:2.10-3"}`},
		"a build log by its own data": {CategoryPackageBuildLogs, buildLog("artifact", `{"source": "hello", "version": "2.10", "architecture": "amd64", "filename": "x.build"}`),
			map[string]any{"work_request_id": float64(9), "vendor": "debian", "codename": "sid", "worker": "builder"},
			"debian_sid_amd64_hello_2.10_9", `{"work_request_id":9,"worker":"builder","vendor":"debian","codename":"sid","architecture":"amd64","srcpkg_name":"hello","srcpkg_version":"2.10"}`},
	} {
		got, data, err := NewItem(c.category, c.item, c.variables)
		if err != nil || got != c.want || string(data) != c.data {
			t.Errorf("%s: %q, %s, %v", name, got, data, err)
		}
	}
}

func TestItemsThatACollectionDoesNotTakeAreRefused(t *testing.T) {
	with := func(key string, value any) map[string]any {
		m := map[string]any{key: value}
		for k, v := range about {
			if k != key {
				m[k] = v
			}
		}
		return m
	}
	bare := environment(tarball)
	bare.Kind = "bare"
	for name, c := range map[string]struct {
		category  string
		item      CollectionItem
		variables map[string]any
	}{
		"an unknown category":             {"debian:suite", environment(tarball), nil},
		"a source package among logs":     {CategoryPackageBuildLogs, CollectionItem{Kind: "artifact", Category: CategorySourcePackage}, about},
		"a bare environment":              {CategoryEnvironments, bare, nil},
		"a log among environments":        {CategoryEnvironments, buildLog("artifact", `{}`), nil},
		"a variable that is unknown":      {CategoryEnvironments, environment(tarball), map[string]any{"architecture": "i386"}},
		"a huge variable":                 {CategoryEnvironments, environment(tarball), map[string]any{strings.Repeat("x", 1<<20): 1}},
		"data that are a list":            {CategoryEnvironments, environment(`[]`), nil},
		"data that are null":              {CategoryPackageBuildLogs, buildLog("artifact", `null`), about},
		"data that are not JSON":          {CategoryEnvironments, environment(`{`), nil},
		"no codename":                     {CategoryEnvironments, environment(`{"architecture": "amd64"}`), nil},
		"a codename that is a number":     {CategoryEnvironments, environment(tarball), map[string]any{"codename": 7}},
		"a codename with a colon":         {CategoryEnvironments, environment(tarball), map[string]any{"codename": "sid:i386"}},
		"a codename with a slash":         {CategoryEnvironments, environment(tarball), map[string]any{"codename": "sid/x"}},
		"a codename with a newline":       {CategoryEnvironments, environment(tarball), map[string]any{"codename": "sid\nx"}},
		"a codename with a NUL byte":      {CategoryEnvironments, environment(tarball), map[string]any{"codename": "sid\x00"}},
		"a codename with a C1 control":    {CategoryEnvironments, environment(tarball), map[string]any{"codename": "sid\u009b"}},
		"a codename that is not UTF-8":    {CategoryEnvironments, environment(tarball), map[string]any{"codename": "sid\xff"}},
		"a huge codename":                 {CategoryEnvironments, environment(tarball), map[string]any{"codename": strings.Repeat("x", 1<<20)}},
		"a variant with a colon":          {CategoryEnvironments, environment(tarball), map[string]any{"variant": "a:b"}},
		"a name that grows too long":      {CategoryEnvironments, environment(tarball), map[string]any{"codename": strings.Repeat("x", 300), "variant": strings.Repeat("y", 300)}},
		"no work request":                 {CategoryPackageBuildLogs, buildLog("bare", ""), with("work_request_id", nil)},
		"a work request in words":         {CategoryPackageBuildLogs, buildLog("bare", ""), with("work_request_id", "9")},
		"a negative work request":         {CategoryPackageBuildLogs, buildLog("bare", ""), with("work_request_id", int64(-9))},
		"half a work request":             {CategoryPackageBuildLogs, buildLog("bare", ""), with("work_request_id", 9.5)},
		"a work request beyond numbers":   {CategoryPackageBuildLogs, buildLog("bare", ""), with("work_request_id", math.Inf(1))},
		"a work request beyond exactness": {CategoryPackageBuildLogs, buildLog("bare", ""), with("work_request_id", 1e300)},
		"a vendor with a colon":           {CategoryPackageBuildLogs, buildLog("bare", ""), with("vendor", "a:b")},
		"a version with a slash":          {CategoryPackageBuildLogs, buildLog("bare", ""), with("srcpkg_version", "1/2")},
		"a list as a source":              {CategoryPackageBuildLogs, buildLog("bare", ""), with("srcpkg_name", []any{"hello"})},
		"a log without a source":          {CategoryPackageBuildLogs, buildLog("artifact", `{"version": "1"}`), map[string]any{"work_request_id": int64(9), "vendor": "d", "codename": "s", "architecture": "a"}},
	} {
		item, data, err := NewItem(c.category, c.item, c.variables)
		if !as[Invalid](err) || item != "" || data != nil {
			t.Errorf("%s: %.100q, %.100s, %.200v", name, item, data, err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: a message of %d bytes", name, len(err.Error()))
		}
	}
}

// Two items must never share a name unless they mean the same thing: a later
// one would silently take the place of the other.
func TestDifferentEnvironmentsHaveDifferentNames(t *testing.T) {
	seen := map[string]string{}
	words := []string{"", "a", "b", "a-b", "a_b", "_", "a=b"}
	for _, codename := range words[1:] {
		for _, variant := range words {
			for _, backend := range words {
				name, data, err := NewItem(CategoryEnvironments, environment(tarball), map[string]any{"codename": codename, "variant": variant, "backend": backend})
				if err != nil {
					t.Fatal(err)
				}
				if other, taken := seen[name]; taken && other != string(data) {
					t.Errorf("%q is %s and %s", name, other, data)
				}
				seen[name] = string(data)
			}
		}
	}
}
