package cli

import (
	"encoding/json"
	"strconv"

	"github.com/urfave/cli/v2"
	"gopkg.in/yaml.v3"

	"debusine/api"
)

func lookupFlags() []cli.Flag {
	return []cli.Flag{workspaceFlag(),
		&cli.Int64Flag{Name: "work-request", Aliases: []string{"workflow"}, Usage: "in the workflow of the work request `ID`, whose outputs are internal@collections"},
		&cli.StringFlag{Name: "expect-type", Usage: "the results are of this `TYPE`: any, bare, artifact, artifact-or-promise, collection"},
		&cli.StringFlag{Name: "default-category", Usage: "of a collection without @CATEGORY: `CATEGORY`"}}
}

func lookupSingleCommand() *cli.Command {
	return &cli.Command{
		Name: "lookup-single", Usage: "find what a lookup means", ArgsUsage: "LOOKUP [EXPECTED-TYPE]",
		Description: "Example: debusine collection lookup-single 'debian@debian:environments/match:codename=trixie:architecture=amd64'",
		Flags:       lookupFlags(),
		Action:      talk(lookupSingle),
	}
}

func lookupSingle(s *session) error {
	if s.NArg() < 1 || s.NArg() > 2 {
		return s.want("LOOKUP", "[EXPECTED-TYPE]")
	}
	l := api.LookupSingle{Lookup: lookupWord(s.Args().First()), Workspace: s.place(), ExpectType: s.Args().Get(1), DefaultCategory: s.String("default-category")}
	if s.IsSet("expect-type") {
		l.ExpectType = s.String("expect-type")
	}
	l.WorkRequest = s.lookingFrom()
	r, err := s.api.Lookup(s.ctx(), l)
	if err != nil {
		return err
	}
	return s.out.print(r, func() error {
		pairs := [][2]string{{"Type", r.ResultType}, {"Artifact", optional(r.Artifact)}, {"Collection", optional(r.Collection)}}
		if r.CollectionItem != nil {
			pairs = append(pairs, [2]string{"Item", r.CollectionItem.Name}, [2]string{"Data", indented(r.CollectionItem.Data)})
		}
		return s.out.pairs(pairs...)
	})
}

// lookupWord is a lookup as a person writes it: a number stands for itself.
func lookupWord(text string) any {
	if id, err := strconv.ParseInt(text, 10, 64); err == nil {
		return id
	}
	return text
}

func (s *session) lookingFrom() *int64 {
	if id := s.Int64("work-request"); id != 0 {
		return &id
	}
	return nil
}

func lookupMultipleCommand() *cli.Command {
	return &cli.Command{
		Name: "lookup-multiple", Usage: "find everything that a lookup of many results means", ArgsUsage: "[LOOKUP …]",
		Description: `Each LOOKUP gives one result. A file holds a list, which may also have dictionaries:

   lookups:
   - collection: _@debian:package-build-logs
     data__srcpkg_name: hello
     name__contains: _amd64_
   - 12@artifacts

Keys of a dictionary: collection, child_type (artifact unless said), category, name, data__KEY (both also with
__contains, __startswith, __endswith, __in), lookup__same_work_request, error_on_empty.
Example: debusine collection lookup-multiple --data logs.yaml`,
		Flags:  append(lookupFlags(), &cli.StringFlag{Name: "data", Usage: "the lookups, YAML or JSON, from `FILE`; - is standard input"}),
		Action: talk(lookupMultiple),
	}
}

func lookupMultiple(s *session) error {
	what, err := s.lookups()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(what)
	if err != nil {
		return err
	}
	results, err := s.api.LookupMultiple(s.ctx(), api.LookupMultiple{Lookup: raw, Workspace: s.place(), WorkRequest: s.lookingFrom(),
		ExpectType: s.String("expect-type"), DefaultCategory: s.String("default-category")})
	if err != nil {
		return err
	}
	return s.out.print(results, func() error {
		rows := make([][]string, len(results))
		for i, r := range results {
			rows[i] = []string{r.ResultType, optional(r.Artifact), optional(r.Collection), "", ""}
			if r.CollectionItem != nil && r.ParentCollection != nil {
				rows[i][3], rows[i][4] = r.CollectionItem.Name, *r.ParentCollection
			}
		}
		return s.out.table([]string{"TYPE", "ARTIFACT", "COLLECTION", "ITEM", "OF"}, rows)
	})
}

// lookups reads the arguments, or the file: a list or a dictionary, as such or
// under the key lookups.
func (s *session) lookups() (any, error) {
	if s.NArg() > 0 == s.IsSet("data") {
		return nil, usage{what: "lookup-multiple takes lookups, or --data FILE", hint: "debusine collection lookup-multiple 'debian@debian:environments/name:tarball:trixie:amd64'"}
	}
	if s.NArg() > 0 {
		var list []any
		for _, text := range s.Args().Slice() {
			list = append(list, lookupWord(text))
		}
		return list, nil
	}
	raw, err := s.readFile(s.String("data"))
	if err != nil {
		return nil, err
	}
	var what any
	if err := yaml.Unmarshal(raw, &what); err != nil {
		return nil, usage{what: s.String("data") + " is neither YAML nor JSON: " + err.Error()}
	}
	if object, ok := what.(map[string]any); ok && object["lookups"] != nil {
		what = object["lookups"]
	}
	return what, nil
}
