package task

import (
	"slices"
	"strings"
	"testing"
)

const goodBootstrap = `{"bootstrap_options": {"architecture": "amd64", "variant": "buildd", "extra_packages": ["ca-certificates", "hello/sid", "hello=1:2.10-3"]},
	"bootstrap_repositories": [{"mirror": "http://mirror:3142/debian", "suite": "sid", "components": ["main", "non-free-firmware"]}],
	"customization_script": "#!/bin/sh\ntrue\n"}`

func TestABootstrapHasItsDefaults(t *testing.T) {
	d := parsed[*MmdebstrapData](t, "mmdebstrap", goodBootstrap)
	r := d.BootstrapRepositories[0]
	if !slices.Equal(r.Types, []string{"deb"}) || r.CheckSignatureWith != "system" || d.BootstrapOptions.UseSignedBy != nil {
		t.Errorf("%+v", d)
	}
	if len(d.Needs()) != 0 {
		t.Errorf("needs %+v", d.Needs())
	}
	if queue := QueueName(d.Requires(), nil); queue != "build/amd64/mmdebstrap" {
		t.Errorf("queue %s of %q", queue, d.Requires())
	}
	if !slices.Contains(d.Requires(), "worker:cap:mmdebstrap") || !slices.Contains(d.Requires(), "worker:executor:unshare") {
		t.Errorf("requires %q", d.Requires())
	}
}

func TestABootstrapIsDescribedBySuiteAndArchitecture(t *testing.T) {
	d := parsed[*MmdebstrapData](t, "mmdebstrap", goodBootstrap).Describe(nil)
	if d.Subject != "sid" || d.Architecture != "amd64" || d.ConfigurationContext != "amd64" || !strings.HasPrefix(d.RuntimeContext, "amd64:buildd:") || d.Source != "" {
		t.Errorf("%+v", d)
	}
}

func TestBootstrapsThatAreAccepted(t *testing.T) {
	for name, c := range map[string]struct{ old, new string }{
		"no variant":                     {`"variant": "buildd", `, ``},
		"an empty variant":               {`"buildd"`, `""`},
		"mmdebstrap's dash":              {`"buildd"`, `"-"`},
		"Sequoia's verifier":             {`"variant"`, `"gpgv_command": "gpgv-sq", "variant"`},
		"an address of IPv6":             {`http://mirror:3142/debian`, `http://[2001:db8::1]:80/debian/`},
		"a mirror on disk":               {`http://mirror:3142/debian`, `file:///srv/mirror/debian`},
		"a snapshot":                     {`http://mirror:3142/debian`, `https://snapshot/archive/debian/20261121T120000Z/`},
		"a suite with a slash":           {`"sid"`, `"bookworm/updates"`},
		"sources too":                    {`"components"`, `"types": ["deb", "deb-src"], "components"`},
		"all components":                 {`, "components": ["main", "non-free-firmware"]`, ``},
		"a keyring package":              {`"components"`, `"keyring_package": "debian-ports-archive-keyring", "components"`},
		"no check at all":                {`"components"`, `"check_signature_with": "no-check", "components"`},
		"a keyring of the machine":       {`"components"`, `"check_signature_with": "external", "keyring": {"url": "file:///usr/share/keyrings/debian-archive-keyring.gpg"}, "components"`},
		"a local keyring of the machine": {`"components"`, `"keyring": {"url": "file:///usr/local/share/keyrings/x.asc", "install": true}, "components"`},
		"a keyring from elsewhere":       {`"components"`, `"keyring": {"url": "https://keys/x.asc", "sha256sum": "` + strings.Repeat("0a", 32) + `"}, "components"`},
	} {
		raw := strings.Replace(goodBootstrap, c.old, c.new, 1)
		if raw == goodBootstrap {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := parseFault(t, "mmdebstrap", raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// All of these reach apt's sources, a command line or a shell of the worker.
func TestBootstrapsThatWouldReachFurtherAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"no architecture":                   {`"architecture": "amd64", `, ``, "bootstrap_options.architecture is missing"},
		"a list of architectures":           {`"amd64"`, `"amd64,i386"`, "is unknown"},
		"an unknown variant":                {`"buildd"`, `"build"`, `"build" is unknown to mmdebstrap`},
		"a variant that is an option":       {`"buildd"`, `"buildd --hook=x"`, "unknown"},
		"another verifier":                  {`"variant"`, `"gpgv_command": "/bin/true", "variant"`, "gpgv or gpgv-sq"},
		"a package that is an option":       {`"ca-certificates"`, `"--customize-hook=id"`, "--customize-hook"},
		"a package with a comma":            {`"ca-certificates"`, `"a,b"`, "not a package name"},
		"a package with a newline":          {`"ca-certificates"`, `"a\nb"`, `a\nb`},
		"a package with a trailing newline": {`"ca-certificates"`, `"a\n"`, "not a package name"},
		"a pattern for apt":                 {`"ca-certificates"`, `"?essential"`, "not a package name"},
		"a path":                            {`"ca-certificates"`, `"./x.deb"`, "not a package name"},
		"a package that is null":            {`"ca-certificates"`, `null`, "not a package name"},
		"a huge package":                    {`"ca-certificates"`, `"A` + strings.Repeat("a", 1<<19) + `"`, "not a package name"},
		"no repository":                     {`[{"mirror": "http://mirror:3142/debian", "suite": "sid", "components": ["main", "non-free-firmware"]}]`, `[]`, "bootstrap_repositories is missing"},
		"no mirror":                         {`"mirror": "http://mirror:3142/debian", `, ``, "mirror"},
		"a mirror of another scheme":        {`http://mirror`, `copy://mirror`, "not an address"},
		"a mirror with a blank":             {`3142/debian`, `3142/debian sid main`, "not an address"},
		"a mirror with a newline":           {`3142/debian`, `3142/debian\nTrusted: yes`, "not an address"},
		"a mirror with quotes":              {`3142/debian`, `3142/';id;'`, "not an address"},
		"a mirror with a variable":          {`3142/debian`, `3142/$(ARCH)`, "not an address"},
		"a suite that climbs":               {`"sid"`, `"../../etc"`, "not the name of a suite"},
		"a suite that climbs later":         {`"sid"`, `"sid/../x"`, "not the name of a suite"},
		"a suite that is an option":         {`"sid"`, `"-o"`, "not the name of a suite"},
		"a suite with a newline":            {`"sid"`, `"sid\nTrusted: yes"`, "not the name of a suite"},
		"a suite with a NUL byte":           {`"sid"`, `"sid\u0000"`, `sid\x00`},
		"no suite":                          {`"sid"`, `""`, "not the name of a suite"},
		"a component with a newline":        {`"main"`, `"main\nSigned-By: x"`, "not a component"},
		"an empty component":                {`"main"`, `""`, "not a component"},
		"a type that is none":               {`"components"`, `"types": ["rpm"], "components"`, "deb or deb-src"},
		"a check that is none":              {`"components"`, `"check_signature_with": "trust-me", "components"`, "system, external or no-check"},
		"external without a keyring":        {`"components"`, `"check_signature_with": "external", "components"`, "keyring is missing"},
		"a keyring package as an option":    {`"components"`, `"keyring_package": "-x", "components"`, "not a package name"},
		"a keyring outside":                 {`"components"`, `"keyring": {"url": "file:///etc/shadow"}, "components"`, "lies outside"},
		"a keyring that climbs out":         {`"components"`, `"keyring": {"url": "file:///usr/share/keyrings/../../../etc/shadow"}, "components"`, "lies outside"},
		"a keyring beside the folder":       {`"components"`, `"keyring": {"url": "file:///usr/share/keyrings-x/y"}, "components"`, "lies outside"},
		"a keyring on a named host":         {`"components"`, `"keyring": {"url": "file://localhost/etc/shadow"}, "components"`, "lies outside"},
		"a keyring without an address":      {`"components"`, `"keyring": {}, "components"`, "not an address"},
		"a keyring that is a path":          {`"components"`, `"keyring": {"url": "/etc/shadow"}, "components"`, "not an address"},
		"a sum that is too short":           {`"components"`, `"keyring": {"url": "https://k/x", "sha256sum": "00"}, "components"`, "not a SHA-256"},
		"a sum in capitals":                 {`"components"`, `"keyring": {"url": "https://k/x", "sha256sum": "` + strings.Repeat("0A", 32) + `"}, "components"`, "not a SHA-256"},
	} {
		raw := strings.Replace(goodBootstrap, c.old, c.new, 1)
		if raw == goodBootstrap {
			t.Fatalf("%s: nothing was changed", name)
		}
		refused(t, name, parseFault(t, "mmdebstrap", raw), c.want)
	}
}
