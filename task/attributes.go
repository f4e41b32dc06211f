package task

import (
	"strings"
	"unicode/utf8"

	"go.temporal.io/sdk/temporal"

	"debusine"
)

// The search attributes by which the Web UI finds executions; their types stand
// in temporal-config/search-attributes.yaml.
var (
	scopeAttribute        = temporal.NewSearchAttributeKeyKeyword("Scope")
	workspaceAttribute    = temporal.NewSearchAttributeKeyKeyword("Workspace")
	workRequestAttribute  = temporal.NewSearchAttributeKeyInt64("WorkRequest")
	sourceAttribute       = temporal.NewSearchAttributeKeyKeyword("Source")
	versionAttribute      = temporal.NewSearchAttributeKeyKeyword("Version")
	architectureAttribute = temporal.NewSearchAttributeKeyKeywordList("Architecture")
	suiteAttribute        = temporal.NewSearchAttributeKeyKeyword("Suite")
	resultAttribute       = temporal.NewSearchAttributeKeyKeyword("Result")
)

// PlaceAttributes say where an execution belongs.
func PlaceAttributes(scope, workspace string, workRequest int64) []temporal.SearchAttributeUpdate {
	return []temporal.SearchAttributeUpdate{
		scopeAttribute.ValueSet(keyword(scope)), workspaceAttribute.ValueSet(keyword(workspace)), workRequestAttribute.ValueSet(workRequest),
	}
}

// Attributes are what is known of the subject; several architectures are
// separated by commas.
func (d Description) Attributes() []temporal.SearchAttributeUpdate {
	var known []temporal.SearchAttributeUpdate
	for _, one := range []struct {
		key   temporal.SearchAttributeKeyKeyword
		value string
	}{{sourceAttribute, d.Source}, {versionAttribute, d.Version}, {suiteAttribute, d.Suite}} {
		if one.value != "" {
			known = append(known, one.key.ValueSet(keyword(one.value)))
		}
	}
	if d.Architecture != "" {
		known = append(known, ArchitectureAttribute(strings.Split(d.Architecture, ",")))
	}
	return known
}

// ArchitectureAttribute is what a workflow builds on.
func ArchitectureAttribute(archs []string) temporal.SearchAttributeUpdate {
	return architectureAttribute.ValueSet(archs)
}

// ResultAttribute is how a workflow ended.
func ResultAttribute(r debusine.Result) temporal.SearchAttributeUpdate {
	return resultAttribute.ValueSet(string(r))
}

// longestPlain bounds Plain, in bytes: Temporal refuses an execution with a summary
// of more than 400.
const longestPlain = 250

// Plain makes a text fit for a line of the Web UI: names and versions come from
// whoever uploaded them, and must not end a line, mean something in Markdown, or
// be too long for Temporal.
func Plain(text string) string {
	text = strings.Map(func(r rune) rune {
		// The last four grow up to sixfold as JSON.
		if r < ' ' || r == utf8.RuneError || strings.ContainsRune("<>[]()*`|!\\&\"\u2028\u2029", r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= longestPlain {
		return text
	}
	return strings.ToValidUTF8(text[:longestPlain], "") + "…"
}

// longestKeyword is what Temporal's tables hold of a keyword, in characters. A
// longer one would keep the execution out of every list.
const longestKeyword = 255

// keyword shortens a text that somebody uploaded.
func keyword(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\uFFFD")
	if utf8.RuneCountInString(text) <= longestKeyword {
		return text
	}
	return string([]rune(text)[:longestKeyword])
}
