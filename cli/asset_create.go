package cli

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/api"
	"debusine/sign"
)

func assetCreateCommand() *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "tell of a key that was not made through this server; for owners of the workspace", ArgsUsage: "CATEGORY",
		Description: "Nobody may sign with it until an administrator grants that: debusine admin key grant.\n\n" +
			"Example: debusine asset create debusine:signing-key --certificate archive.asc --set purpose=openpgp --set description=uploads",
		Flags: append(dataFlags("asset's data"), workspaceFlag(),
			&cli.StringFlag{Name: "certificate", Usage: "take fingerprint and public key from the certificate in `FILE`; - is standard input"}),
		Action: talk(assetCreate),
	}
}

func assetCreate(s *session) error {
	if err := s.want("CATEGORY"); err != nil {
		return err
	}
	data, err := s.data()
	if err != nil {
		return err
	}
	if file := s.String("certificate"); file != "" {
		if data["fingerprint"], data["public_key"], err = s.certificate(file, data); err != nil {
			return err
		}
	}
	in := api.AssetCreate{Category: s.Args().First(), Workspace: s.place()}
	raw, err := json.Marshal(data)
	if err == nil {
		err = json.Unmarshal(raw, &in.Data)
	}
	if err != nil {
		return debusine.Invalid{What: "the asset's data have another form", Hint: "purpose, fingerprint, public_key (base64) and description, all text"}
	}
	made, err := s.api.CreateAsset(s.ctx(), in)
	if err != nil {
		return err
	}
	return s.showAsset(made)
}

// certificate reads what a key's certificate says of it.
func (s *session) certificate(file string, data map[string]any) (fingerprint, public string, err error) {
	if data["purpose"] == nil {
		data["purpose"] = string(sign.OpenPGP)
	}
	purpose, err := sign.ParsePurpose(fmt.Sprint(data["purpose"]))
	if err != nil {
		return "", "", err
	}
	raw, err := s.readFile(file)
	if err != nil {
		return "", "", err
	}
	fingerprint, certificate, err := sign.Public(purpose, raw)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", file, err)
	}
	return fingerprint, base64.StdEncoding.EncodeToString(certificate), nil
}

// printCertificate writes the certificate of a key as text.
func (s *session) printCertificate(a api.Asset) error {
	certificate, err := base64.StdEncoding.DecodeString(a.Data.PublicKey)
	if err != nil {
		return fmt.Errorf("the server's certificate of key %s cannot be read: %w", a.Data.Fingerprint, err)
	}
	if block, _ := pem.Decode(certificate); block == nil {
		if certificate, err = sign.Armour(certificate); err != nil {
			return err
		}
	}
	_, err = s.out.to.Write(certificate)
	return err
}
