package debusine

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func imageData() object {
	o := with(tarballData(), "filename", "system.qcow2")
	for key, value := range map[string]any{"image_format": "qcow2", "filesystem": "ext4", "size": 1 << 30, "boot_mechanism": "efi"} {
		o[key] = value
	}
	return o
}

var (
	buildID = strings.Repeat("0a", 20)
	digest  = strings.Repeat("0A", 32)
)

func outputData(results ...any) object {
	return object{"purpose": "openpgp", "fingerprint": strings.Repeat("AB", 20), "results": results}
}

func TestDataOfImagesSymbolsAndSignaturesIsAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		category string
		data     object
		files    []string
	}{
		"an image":                      {CategorySystemImage, imageData(), []string{"system.qcow2"}},
		"a raw image in a tar file":     {CategorySystemImage, with(with(imageData(), "image_format", "raw"), "filename", "s.tar.xz"), []string{"s.tar.xz"}},
		"debugging symbols":             {CategoryDebugSymbols, object{"build_ids": []string{buildID}}, []string{buildID}},
		"any files to sign":             {CategorySigningInput, object{}, []string{"boot/vmlinuz"}},
		"files with what they trust":    {CategorySigningInput, object{"trusted_certs": []string{digest}, "binary_package_name": "linux-image"}, []string{"vmlinuz"}},
		"a signature":                   {CategorySigningOutput, outputData(object{"file": "a", "output_file": "a.sig"}), []string{"a.sig"}},
		"a file that cannot be signed":  {CategorySigningOutput, with(outputData(object{"file": "a", "error_message": "no key"}), "binary_package_name", "shim"), []string{}},
		"a signature that is the input": {CategorySigningOutput, outputData(object{"file": "a.changes", "output_file": "a.changes"}), []string{"a.changes"}},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := ParseArtifactData(c.category, toJSON(t, c.data), c.files)
			if err != nil || data.Category() != c.category {
				t.Fatalf("%v, %v", data, err)
			}
			again, err := ParseArtifactData(c.category, toJSON(t, data), c.files)
			if err != nil || !reflect.DeepEqual(again, data) {
				t.Errorf("written and read again: %+v, %v", again, err)
			}
		})
	}
}

func TestDataOfImagesSymbolsAndSignaturesIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		category string
		data     object
		files    []string
	}{
		"an image of another format":        {CategorySystemImage, with(imageData(), "image_format", "vmdk"), []string{"system.qcow2"}},
		"an image that boots otherwise":     {CategorySystemImage, with(imageData(), "boot_mechanism", "uboot"), []string{"system.qcow2"}},
		"an image without a size":           {CategorySystemImage, with(imageData(), "size", 0), []string{"system.qcow2"}},
		"an image without a file system":    {CategorySystemImage, with(imageData(), "filesystem", ""), []string{"system.qcow2"}},
		"a raw image that is not in a tar":  {CategorySystemImage, with(imageData(), "image_format", "raw"), []string{"system.qcow2"}},
		"an image for all":                  {CategorySystemImage, with(imageData(), "architecture", "all"), []string{"system.qcow2"}},
		"symbols without an id":             {CategoryDebugSymbols, object{"build_ids": []string{}}, []string{}},
		"symbols with a short id":           {CategoryDebugSymbols, object{"build_ids": []string{"0a"}}, []string{"0a"}},
		"symbols with an id in upper case":  {CategoryDebugSymbols, object{"build_ids": []string{strings.ToUpper(buildID)}}, []string{strings.ToUpper(buildID)}},
		"symbols with an id twice":          {CategoryDebugSymbols, object{"build_ids": []string{buildID, buildID}}, []string{buildID}},
		"symbols with a file beside them":   {CategoryDebugSymbols, object{"build_ids": []string{buildID}}, []string{buildID, "x"}},
		"symbols whose file is missing":     {CategoryDebugSymbols, object{"build_ids": []string{buildID}}, []string{}},
		"nothing to sign":                   {CategorySigningInput, object{}, nil},
		"trust in something that is no sum": {CategorySigningInput, object{"trusted_certs": []string{"x"}}, []string{"a"}},
		"a package by no name":              {CategorySigningInput, object{"binary_package_name": "../x"}, []string{"a"}},
		"a signature for another purpose":   {CategorySigningOutput, with(outputData(), "purpose", "ssh"), nil},
		"a fingerprint in words":            {CategorySigningOutput, with(outputData(), "fingerprint", "mine"), nil},
		"both signature and error":          {CategorySigningOutput, outputData(object{"file": "a", "output_file": "b", "error_message": "c"}), []string{"b"}},
		"neither signature nor error":       {CategorySigningOutput, outputData(object{"file": "a"}), nil},
		"a signature that is not there":     {CategorySigningOutput, outputData(object{"file": "a", "output_file": "b"}), nil},
		"a file that no result names":       {CategorySigningOutput, outputData(), []string{"b"}},
		"a result of no file":               {CategorySigningOutput, outputData(object{"output_file": "b"}), []string{"b"}},
		"a result with an unknown key":      {CategorySigningOutput, outputData(object{"file": "a", "error_message": "b", "c": 1}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if data, err := ParseArtifactData(c.category, toJSON(t, c.data), c.files); !errors.As(err, new(Invalid)) || data != nil {
				t.Errorf("got %v, %v", data, err)
			}
		})
	}
}
