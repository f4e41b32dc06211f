package task

import (
	"slices"
	"strings"
)

// Provenance is who says a tag (spec §5.8).
type Provenance string

// Those who may say tags.
const (
	FromWorker    Provenance = "worker"    // the machine itself, which is not trusted
	FromAdmin     Provenance = "admin"     // static metadata of a worker
	FromUser      Provenance = "user"      // task data and workflows
	FromWorkspace Provenance = "workspace" // task configuration
	FromSystem    Provenance = "system"    // the server
)

// TagKind is what a tag is said of.
type TagKind string

// The four sets of tags that the two-way test compares.
const (
	WorkerProvided TagKind = "worker provided" // what the machine is and has
	WorkerRequired TagKind = "worker required" // what work must be for the machine to take it
	TaskProvided   TagKind = "task provided"   // what the work is about
	TaskRequired   TagKind = "task required"   // what the machine must be
)

const longestTag = 200 // bytes

// tagFamilies are the known tags, by prefix, and who may say them of what.
var tagFamilies = []struct {
	prefix string
	may    map[TagKind][]Provenance
}{
	{"worker:class:", map[TagKind][]Provenance{
		WorkerProvided: {FromAdmin}, TaskRequired: {FromUser, FromWorkspace, FromSystem}}},
	{"worker:build-arch:", reported},
	{"worker:executor:", reported},
	{"worker:cap:", reported},
	{"worker:task:", reportedKind},
	{"worker:type:", reportedKind},
	{"task:scope:", ofWork},
	{"task:workspace:", ofWork},
	{"task:group:", ofWork},
	{"task:source-package:", ofWork},
}

var (
	reported = map[TagKind][]Provenance{
		WorkerProvided: {FromWorker, FromAdmin, FromSystem}, TaskRequired: {FromUser, FromWorkspace, FromSystem}}
	reportedKind = map[TagKind][]Provenance{
		WorkerProvided: {FromWorker, FromAdmin, FromSystem}, TaskRequired: {FromSystem}}
	ofWork = map[TagKind][]Provenance{
		TaskProvided: {FromSystem}, WorkerRequired: {FromAdmin}}
)

// AllowedFrom says whether source may say the tag of what kind names. Tags of
// no known family are nobody's to say: a tag that is misspelt would otherwise
// hold work up for ever.
func AllowedFrom(source Provenance, kind TagKind, tag string) bool {
	if len(tag) > longestTag || strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return false
	}
	// The machine's type decides which secrets come near it.
	if source == FromWorker && strings.HasPrefix(tag, "worker:type:") && tag != "worker:type:worker" {
		return false
	}
	for _, family := range tagFamilies {
		if strings.HasPrefix(tag, family.prefix) && len(tag) > len(family.prefix) {
			return slices.Contains(family.may[kind], source)
		}
	}
	return false
}

// The keys of worker metadata that hold lists of tags.
const (
	ProvidedTags = "provided_tags"
	RequiredTags = "required_tags"
)

// WorkerTags are the tags of a worker: what it reports (dynamic, under
// provided_tags) together with what an administrator says of it (static, under
// provided_tags and required_tags), each limited to what its source may say.
// ignored are those that were said and do not count, so that both can be told.
// All three are sorted and without repetition.
func WorkerTags(dynamic, static map[string]any) (provided, required, ignored []string) {
	take := func(source Provenance, kind TagKind, tags []string) (allowed []string) {
		for _, tag := range tags {
			if AllowedFrom(source, kind, tag) {
				allowed = append(allowed, tag)
			} else {
				ignored = append(ignored, tag)
			}
		}
		return allowed
	}
	provided = append(take(FromWorker, WorkerProvided, tagList(dynamic[ProvidedTags])), take(FromAdmin, WorkerProvided, tagList(static[ProvidedTags]))...)
	take(FromWorker, WorkerRequired, tagList(dynamic[RequiredTags]))
	required = take(FromAdmin, WorkerRequired, tagList(static[RequiredTags]))
	return tagSet(provided), tagSet(required), tagSet(ignored)
}

// Implied are the tags that an architecture implies: what every build machine
// of this release provides, and what queue names therefore leave out. A machine
// that lacks one of them is not entitled to any queue of an architecture.
func Implied() []string {
	tags := []string{"worker:type:worker", "worker:executor:unshare", "worker:cap:sbuild", "worker:cap:mmdebstrap"}
	for _, name := range WorkerTasks() {
		tags = append(tags, versionTag(name))
	}
	return tagSet(tags)
}

// Entitled is the two-way test: a machine may have the work when both answers
// are empty. missing are the tags that the work requires and the machine lacks;
// unmet are those that the machine demands and the work does not provide.
func Entitled(workerProvided, workerRequired, taskRequired, taskProvided []string) (missing, unmet []string) {
	return without(taskRequired, workerProvided), without(workerRequired, taskProvided)
}

func without(tags, has []string) []string {
	return slices.DeleteFunc(tagSet(tags), func(tag string) bool { return slices.Contains(has, tag) })
}

// tagSet is the sorted set of tags, a slice of its own and never nil.
func tagSet(tags []string) []string {
	set := append([]string{}, tags...)
	slices.Sort(set)
	return slices.Compact(set)
}

// tagList reads a list of strings out of JSON; anything else is no tag.
func tagList(value any) (tags []string) {
	switch list := value.(type) {
	case []string:
		return list
	case []any:
		for _, item := range list {
			if tag, ok := item.(string); ok {
				tags = append(tags, tag)
			}
		}
	}
	return tags
}
