package sign

import (
	"encoding/hex"
	"net/url"
	"strings"

	"debusine"
)

// tokenURI says where a key is in hardware: RFC 7512.
type tokenURI struct {
	token, serial string // the token's label and serial number
	object        string // the key's label
	id            string // and its id, as hexadecimal digits
}

// parseURI reads pkcs11:token=…;serial=…;object=…;id=%01. A PIN or a module has
// no place in it: the address is kept where others may read it.
func parseURI(text string) (u tokenURI, err error) {
	path, ok := strings.CutPrefix(text, "pkcs11:")
	if !ok {
		return u, debusine.Invalid{What: "a key in hardware is named by a URI that begins with pkcs11:", Hint: "pkcs11:token=LABEL;object=LABEL (p11tool --list-all, pkcs11-tool --list-objects)"}
	}
	path, query, _ := strings.Cut(path, "?")
	if query != "" {
		return u, debusine.Invalid{What: "the PKCS#11 URI must not say a PIN or a module (what follows the ?)", Hint: "they are given to debusine signing: --pin-file, --pkcs11-module"}
	}
	for part := range strings.SplitSeq(path, ";") {
		name, value, _ := strings.Cut(part, "=")
		if value, err = url.PathUnescape(value); err != nil {
			return u, debusine.Invalidf("the PKCS#11 URI has a malformed %%: %.200q", text)
		}
		switch name {
		case "token":
			u.token = value
		case "serial":
			u.serial = value
		case "object":
			u.object = value
		case "id":
			u.id = hex.EncodeToString([]byte(value))
		case "type", "manufacturer", "model", "slot-id", "":
		default:
			return u, debusine.Invalidf("the PKCS#11 URI says %.80q, which means nothing here", name)
		}
	}
	if (u.token == "" && u.serial == "") || (u.object == "" && u.id == "") {
		return u, debusine.Invalidf("the PKCS#11 URI must say which token (token= or serial=) and which key (object= or id=)")
	}
	return u, nil
}
