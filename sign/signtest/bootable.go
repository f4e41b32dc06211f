package signtest

import "strings"

// TrustedCert is the SHA-256 sum of the one certificate that Bootable trusts.
const TrustedCert = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Bootable is the source package tiny 1.0, as paths to texts: its build makes an EFI
// application for amd64 (usr/lib/tiny/tiny.efi), and the package
// tiny-amd64-signed-template, of which the source tiny-amd64-signed is made, whose
// package tiny-signed has the signed application (usr/lib/tiny/tiny.efi.signed).
func Bootable() map[string]string {
	const template = "debian/template/usr/share/code-signing/tiny-amd64-signed-template/"
	paragraphs := func(source, depends string, packages ...string) string {
		text := "Source: " + source + "\nMaintainer: A <a@b.c>\nSection: misc\nPriority: optional\nStandards-Version: 4.6.2\nRules-Requires-Root: no\n" + depends
		for _, p := range packages {
			text += "\nPackage: " + p + "\nArchitecture: amd64\nDescription: made by a test\n"
		}
		return text
	}
	binary := "build build-arch build-indep clean:\nbinary-indep:\nbinary binary-arch:\n\t"
	return map[string]string{
		"debian/source/format": "3.0 (native)\n",
		"debian/changelog":     "tiny (1.0) unstable; urgency=medium\n\n  * x\n\n -- A <a@b.c>  Sun, 22 Nov 2026 12:00:00 +0000\n",
		"tiny.c":               "long efi_main(void *image, void *system) { (void)image; (void)system; return 0; }\n",
		"debian/control":       paragraphs("tiny", "", "tiny", "tiny-amd64-signed-template"),
		"debian/rules": "#!/usr/bin/make -f\n" + binary + strings.Join([]string{
			"gcc -ffreestanding -fno-stack-protector -fpic -mno-red-zone -nostdlib -shared -Wl,-Bsymbolic -Wl,-e,efi_main -Wl,--build-id=none -o tiny.so tiny.c",
			"mkdir -p debian/tmp/DEBIAN debian/tmp/usr/lib/tiny debian/template/DEBIAN",
			"objcopy -j .text -j .dynamic -j .dynsym -j '.rela*' -j .hash -j .gnu.hash --target=efi-app-x86_64 tiny.so debian/tmp/usr/lib/tiny/tiny.efi",
			"dpkg-gencontrol -ptiny -Pdebian/tmp", "dpkg-deb --build --root-owner-group debian/tmp ..",
			"dpkg-gencontrol -ptiny-amd64-signed-template -Pdebian/template", "dpkg-deb --build --root-owner-group debian/template ..",
		}, "\n\t") + "\n",
		template + "files.json":                           `{"packages": {"tiny": {"trusted_certs": ["` + TrustedCert + `"], "files": [{"sig_type": "efi", "file": "usr/lib/tiny/tiny.efi"}]}}}`,
		template + "source-template/debian/control":       paragraphs("tiny-amd64-signed", "Build-Depends: sbsigntool, tiny (= 1.0)\n", "tiny-signed"),
		template + "source-template/debian/changelog":     "tiny-amd64-signed (1.0) unstable; urgency=medium\n\n  * x\n\n -- A <a@b.c>  Sun, 22 Nov 2026 12:00:00 +0000\n",
		template + "source-template/debian/source/format": "3.0 (native)\n",
		template + "source-template/debian/rules": "#!/usr/bin/make -f\n" + binary + strings.Join([]string{
			"mkdir -p debian/tmp/DEBIAN debian/tmp/usr/lib/tiny", "cp /usr/lib/tiny/tiny.efi debian/tmp/usr/lib/tiny/tiny.efi.signed",
			"sbattach --attach debian/signatures/tiny/usr/lib/tiny/tiny.efi.sig debian/tmp/usr/lib/tiny/tiny.efi.signed",
			"dpkg-gencontrol -ptiny-signed", "dpkg-deb --build --root-owner-group debian/tmp ..",
		}, "\n\t") + "\n",
	}
}
