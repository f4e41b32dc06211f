package debusine

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"debusine/debian"
)

// object is a JSON object under construction.
type object = map[string]any

func toJSON(t testing.TB, v any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func listing(names ...string) []any {
	var list []any
	for _, name := range names {
		list = append(list, object{"name": name, "size": "1", "md5sum": "x"})
	}
	return list
}

// with is a copy of o with one key changed; nil removes the key.
func with(o object, key string, value any) object {
	c := maps.Clone(o)
	if c[key] = value; value == nil {
		delete(c, key)
	}
	return c
}

func sourceData() object {
	return object{"name": "hello", "version": "2.10-3", "type": "dpkg",
		"dsc_fields": object{"Source": "hello", "Version": "2.10-3", "Files": listing("hello_2.10.orig.tar.gz", "hello_2.10-3.debian.tar.xz"),
			"Checksums-Sha256": listing("hello_2.10-3.debian.tar.xz", "hello_2.10.orig.tar.gz")}}
}

func sourceFiles() []string {
	return []string{"hello_2.10-3.dsc", "hello_2.10.orig.tar.gz", "hello_2.10-3.debian.tar.xz"}
}

func binaryData() object {
	return object{"srcpkg_name": "hello", "srcpkg_version": "1:2.10-3", "deb_control_files": []string{"control", "md5sums"},
		"deb_fields": object{"Package": "hello", "Version": "2.10-3+b1", "Architecture": "amd64"}}
}

func uploadData(architecture string, names ...string) object {
	return object{"type": "dpkg", "changes_fields": object{"Architecture": architecture, "Files": listing(names...)}}
}

func logData() object {
	return object{"source": "hello", "version": "2.10-3", "architecture": "amd64", "filename": "hello.build"}
}

func tarballData() object {
	return object{"filename": "system.tar.zst", "vendor": "debian", "codename": "trixie", "mirror": "http://mirror.example/debian",
		"components": []string{"main"}, "variant": "buildd", "pkglist": object{"dpkg": "1.22"}, "architecture": "amd64",
		"with_dev": true, "with_init": false}
}

func TestParseArtifactDataAccepts(t *testing.T) {
	none := []string{}
	tests := []struct {
		name, category string
		data           object
		files          []string
	}{
		{"a source package", CategorySourcePackage, sourceData(), sourceFiles()},
		{"a binary package", CategoryBinaryPackage, binaryData(), []string{"hello_2.10-3+b1_amd64.deb"}},
		{"a udeb", CategoryBinaryPackage, binaryData(), []string{"hello.udeb"}},
		{"control files as python-debian names them", CategoryBinaryPackage, with(binaryData(), "deb_control_files", []string{".", "./control"}), []string{"a.deb"}},
		{"an upload of source alone", CategoryUpload, uploadData("source", "a.dsc", "a.tar.gz", "a_1_source.buildinfo"), []string{"a.changes", "a.dsc", "a.tar.gz", "a_1_source.buildinfo"}},
		{"an upload of binaries", CategoryUpload, uploadData("all amd64", "a.deb", "a_1_amd64.buildinfo"), []string{"a.deb", "a_1_amd64.buildinfo", "a.changes"}},
		{"an upload of both", CategoryUpload, uploadData("source amd64", "a.deb", "a.dsc"), []string{"a.deb", "a.dsc", "a.changes"}},
		{"a build log", CategoryPackageBuildLog, logData(), []string{"hello.build"}},
		{"a build log of no architecture", CategoryPackageBuildLog, with(logData(), "architecture", nil), []string{"hello.build"}},
		{"a build log with dose3's report", CategoryPackageBuildLog, with(logData(), "bd_uninstallable", object{"report": []any{}}), []string{"hello.build"}},
		{"a tarball", CategorySystemTarball, tarballData(), []string{"system.tar.zst"}},
		{"a tarball of no variant", CategorySystemTarball, with(tarballData(), "variant", nil), []string{"system.tar.zst"}},
		{"a tarball that is not packed", CategorySystemTarball, with(tarballData(), "filename", "s.tar"), []string{"s.tar"}},
		{"a tarball that tells of its suite", CategorySystemTarball, with(tarballData(), "suite_architectures", []string{"amd64", "arm64"}), []string{"system.tar.zst"}},
		{"debug logs in folders", CategoryDebugLogs, object{}, []string{"a/b.log", "c.log"}},
		{"a test artifact without files", CategoryTest, object{}, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := ParseArtifactData(tt.category, toJSON(t, tt.data), tt.files)
			if err != nil {
				t.Fatal(err)
			}
			if data.Category() != tt.category {
				t.Errorf("the category became %s", data.Category())
			}
			again, err := ParseArtifactData(tt.category, toJSON(t, data), tt.files)
			if err != nil || !reflect.DeepEqual(again, data) {
				t.Errorf("written and read again: %+v, %v", again, err)
			}
		})
	}
	if _, err := ParseArtifactData(CategorySystemTarball, toJSON(t, withNull(tarballData(), "variant")), []string{"system.tar.zst"}); err != nil {
		t.Errorf("null for an optional key: %v", err)
	}
	if _, err := ParseArtifactData(CategoryTest, nil, nil); err != nil {
		t.Errorf("no data at all: %v", err)
	}
}

func withNull(o object, key string) object {
	c := maps.Clone(o)
	c[key] = nil
	return c
}

func TestParseArtifactDataRefusesKeys(t *testing.T) {
	tests := []struct {
		name, category, raw, key string
	}{
		{"an unknown key", CategoryTest, `{"x": 1}`, "x"},
		{"a key in another case", CategoryPackageBuildLog, `{"Source":"hello","source":"hello","version":"1","filename":"a.build"}`, "Source"},
		{"a missing key", CategoryPackageBuildLog, `{"source":"hello","filename":"a.build"}`, "version"},
		{"null for a required key", CategoryPackageBuildLog, `{"source":null,"version":"1","filename":"a.build"}`, "source"},
		{"a number for a text", CategoryPackageBuildLog, `{"source":"hello","version":1,"filename":"a.build"}`, "version"},
		{"a text for an object", CategoryUpload, `{"type":"dpkg","changes_fields":"x"}`, "changes_fields"},
		{"a list", CategoryTest, `[]`, ""},
		{"null", CategoryTest, `null`, ""},
		{"no JSON", CategoryTest, `{`, ""},
		{"two objects", CategoryTest, `{}{}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := ParseArtifactData(tt.category, json.RawMessage(tt.raw), []string{"a.build"})
			var invalid Invalid
			if !errors.As(err, &invalid) || data != nil {
				t.Fatalf("got %v, %v", data, err)
			}
			if tt.key != "" && invalid.Per[tt.key] == "" {
				t.Errorf("the message names %v, not %s", invalid.Per, tt.key)
			}
		})
	}
}

func TestParseArtifactDataRefuses(t *testing.T) {
	fields := func(key string, value any) object {
		return with(sourceData(), "dsc_fields", with(sourceData()["dsc_fields"].(object), key, value))
	}
	source, deb := sourceFiles(), []string{"a.deb"}
	tests := []struct {
		name, category string
		data           object
		files          []string
	}{
		{"an unknown category", "debian:nonsense", object{}, nil},
		{"a source package of another type", CategorySourcePackage, with(sourceData(), "type", "rpm"), source},
		{"a source package with a bad name", CategorySourcePackage, with(sourceData(), "name", "../x"), source},
		{"a source package with a bad version", CategorySourcePackage, with(sourceData(), "version", "x"), source},
		{"a version that the .dsc does not have", CategorySourcePackage, with(sourceData(), "version", "2.10-4"), source},
		{"a name that the .dsc does not have", CategorySourcePackage, with(sourceData(), "name", "goodbye"), source},
		{"no .dsc", CategorySourcePackage, sourceData(), source[1:]},
		{"two .dsc", CategorySourcePackage, sourceData(), append(sourceFiles(), "b.dsc")},
		{"a file that the .dsc lists and that is not there", CategorySourcePackage, sourceData(), source[:2]},
		{"a file that the .dsc does not list", CategorySourcePackage, sourceData(), append(sourceFiles(), "x.tar.gz")},
		{"a .dsc without Files", CategorySourcePackage, fields("Files", nil), source},
		{"a .dsc whose Files is a text", CategorySourcePackage, fields("Files", "\n x 1 a"), source},
		{"a .dsc whose lists disagree", CategorySourcePackage, fields("Checksums-Sha256", listing("other")), source},
		{"a list without names", CategorySourcePackage, fields("Checksums-Sha256", []any{1}), source},
		{"a file that is listed twice", CategorySourcePackage, fields("Files", listing("a", "a")), source},
		{"a listed name with a folder", CategorySourcePackage, fields("Files", listing("../a")), source},
		{"a binary package without a file", CategoryBinaryPackage, binaryData(), nil},
		{"a binary package with two", CategoryBinaryPackage, binaryData(), []string{"a.deb", "b.deb"}},
		{"a binary package with a file beside it", CategoryBinaryPackage, binaryData(), []string{"a.deb", "b.txt"}},
		{"a binary package that is none", CategoryBinaryPackage, binaryData(), []string{"a.rpm"}},
		{"deb_fields without a Package", CategoryBinaryPackage, with(binaryData(), "deb_fields", object{}), deb},
		{"no file control", CategoryBinaryPackage, with(binaryData(), "deb_control_files", []string{"md5sums"}), deb},
		{"a bad name of the source", CategoryBinaryPackage, with(binaryData(), "srcpkg_name", "X"), deb},
		{"an upload of another type", CategoryUpload, with(uploadData("source", "a.dsc"), "type", "x"), []string{"a.changes", "a.dsc"}},
		{"an upload without .changes", CategoryUpload, uploadData("source", "a.dsc"), []string{"a.dsc"}},
		{"an upload without Architecture", CategoryUpload, uploadData("", "a.dsc"), []string{"a.changes", "a.dsc"}},
		{"an upload for an unknown architecture", CategoryUpload, uploadData("amd46", "a.deb"), []string{"a.changes", "a.deb"}},
		{"an upload of source without a .dsc", CategoryUpload, uploadData("source", "a.tar.gz"), []string{"a.changes", "a.tar.gz"}},
		{"an upload of source with two .dsc", CategoryUpload, uploadData("source", "a.dsc", "b.dsc"), []string{"a.changes", "a.dsc", "b.dsc"}},
		{"an upload of source with a .deb", CategoryUpload, uploadData("source", "a.dsc", "a.deb"), []string{"a.changes", "a.dsc", "a.deb"}},
		{"an upload of source with a .udeb", CategoryUpload, uploadData("source", "a.dsc", "a.udeb"), []string{"a.changes", "a.dsc", "a.udeb"}},
		{"an upload of source with the .buildinfo of binaries", CategoryUpload, uploadData("source", "a.dsc", "a_1_amd64.buildinfo"), []string{"a.changes", "a.dsc", "a_1_amd64.buildinfo"}},
		{"an upload of binaries without any", CategoryUpload, uploadData("amd64", "a.buildinfo"), []string{"a.changes", "a.buildinfo"}},
		{"an upload of binaries with a .dsc", CategoryUpload, uploadData("amd64", "a.dsc", "a.deb"), []string{"a.changes", "a.dsc", "a.deb"}},
		{"an upload that lists a path", CategoryUpload, uploadData("amd64", "x/a.deb"), []string{"a.changes", "x/a.deb"}},
		{"a log that is none", CategoryPackageBuildLog, logData(), []string{"hello.txt"}},
		{"a log by another name", CategoryPackageBuildLog, logData(), []string{"other.build"}},
		{"a log of an unknown architecture", CategoryPackageBuildLog, with(logData(), "architecture", "amd46"), []string{"hello.build"}},
		{"a log of a bad version", CategoryPackageBuildLog, with(logData(), "version", ""), []string{"hello.build"}},
		{"a tarball packed as zip", CategorySystemTarball, with(tarballData(), "filename", "s.zip"), []string{"s.zip"}},
		{"a tarball by another name", CategorySystemTarball, tarballData(), []string{"other.tar.zst"}},
		{"a tarball for all", CategorySystemTarball, with(tarballData(), "architecture", "all"), []string{"system.tar.zst"}},
		{"a tarball for an unknown architecture", CategorySystemTarball, with(tarballData(), "architecture", "x"), []string{"system.tar.zst"}},
		{"a tarball from no URL", CategorySystemTarball, with(tarballData(), "mirror", "mirror"), []string{"system.tar.zst"}},
		{"a tarball of an empty codename", CategorySystemTarball, with(tarballData(), "codename", ""), []string{"system.tar.zst"}},
		{"a tarball of a vendor with a colon", CategorySystemTarball, with(tarballData(), "vendor", "a:b"), []string{"system.tar.zst"}},
		{"a tarball of an empty component", CategorySystemTarball, with(tarballData(), "components", []string{""}), []string{"system.tar.zst"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := ParseArtifactData(tt.category, toJSON(t, tt.data), tt.files)
			if invalid := (Invalid{}); !errors.As(err, &invalid) || data != nil {
				t.Errorf("got %v, %v", data, err)
			}
		})
	}
}

func TestParseArtifactDataRefusesPaths(t *testing.T) {
	for _, file := range []string{"", ".", "..", "../a", "a/../../b", "a/../b", "/a", "a//b", "a/", "./a", "a\nb", "a\x00", "\xff", strings.Repeat("a", 501)} {
		if _, err := ParseArtifactData(CategoryTest, nil, []string{file}); !errors.As(err, new(Invalid)) {
			t.Errorf("path %q: %v", file, err)
		}
	}
	if _, err := ParseArtifactData(CategoryTest, nil, []string{"a", "b", "a"}); !errors.As(err, new(Invalid)) {
		t.Errorf("a path that is given twice: %v", err)
	}
}

// TestParseArtifactDataTakesWhatTheParsersGive joins both halves: what debian
// makes of a file is what an artifact may hold.
func TestParseArtifactDataTakesWhatTheParsersGive(t *testing.T) {
	sum := strings.Repeat("a", 64)
	dsc, err := debian.ParseDSC(strings.NewReader("Format: 1.0\nSource: hello\nVersion: 1:2\nArchitecture: any\n" +
		"Checksums-Sha256:\n " + sum + " 5 hello_2.tar.gz\nFiles:\n " + sum[:32] + " 5 hello_2.tar.gz\n"))
	if err != nil {
		t.Fatal(err)
	}
	data := &SourcePackageData{Name: dsc.Source, Version: dsc.Version.String(), Type: "dpkg", DscFields: dsc.Fields()}
	got, err := ParseArtifactData(CategorySourcePackage, toJSON(t, data), []string{dsc.FileName(), "hello_2.tar.gz"})
	if err != nil || !reflect.DeepEqual(got, data) {
		t.Errorf("the source package: %+v, %v", got, err)
	}
	changes, err := debian.ParseChanges(strings.NewReader("Source: hello\nVersion: 1:2\nArchitecture: amd64\nDistribution: sid\n" +
		"Checksums-Sha256:\n " + sum + " 5 hello_2_amd64.deb\nFiles:\n " + sum[:32] + " 5 misc optional hello_2_amd64.deb\n"))
	if err != nil {
		t.Fatal(err)
	}
	upload := &UploadData{Type: "dpkg", ChangesFields: changes.Fields()}
	if _, err := ParseArtifactData(CategoryUpload, toJSON(t, upload), []string{"hello_2_amd64.changes", "hello_2_amd64.deb"}); err != nil {
		t.Errorf("the upload: %v", err)
	}
}

func FuzzParseArtifactData(f *testing.F) {
	f.Add(CategorySourcePackage, []byte(toJSON(f, sourceData())), strings.Join(sourceFiles(), "\n"))
	f.Add(CategoryUpload, []byte(toJSON(f, uploadData("amd64", "a.deb"))), "a.changes\na.deb")
	f.Add(CategorySystemTarball, []byte(toJSON(f, tarballData())), "system.tar.zst")
	f.Add(CategoryTest, []byte("{}"), "x")
	f.Fuzz(func(t *testing.T, category string, raw []byte, files string) {
		data, err := ParseArtifactData(category, raw, strings.Split(files, "\n"))
		if err != nil && !errors.As(err, new(Invalid)) {
			t.Errorf("an error that is no Invalid: %v", err)
		}
		if err == nil && data.Category() != category {
			t.Errorf("%s became %s", category, data.Category())
		}
	})
}
