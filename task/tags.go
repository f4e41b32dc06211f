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
	// Ours: what a workspace calls its work, for machines that are kept for such. It
	// sorts, and protects nothing: every workspace may say it.
	{"task:class:", map[TagKind][]Provenance{
		TaskProvided: {FromWorkspace, FromSystem}, WorkerRequired: {FromAdmin}}},
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
	// A comma stands between tags on command lines.
	if len(tag) > longestTag || strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' }) {
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

// The keys of worker metadata that are understood: lists of tags, and in what
// an administrator says, lists of names of tasks.
const (
	ProvidedTags   = "provided_tags"
	RequiredTags   = "required_tags"
	TasksAllowlist = "tasks_allowlist" // these and no others; wins over the denylist unless it is empty
	TasksDenylist  = "tasks_denylist"  // all but these
)

// WorkerTags are the tags of a worker: what it reports (dynamic, under
// provided_tags) together with what an administrator says of it (static, under
// provided_tags and required_tags), each limited to what its source may say. A
// task that an administrator denies the machine (tasks_allowlist, tasks_denylist)
// is one whose version it does not provide, whatever it reports. ignored are tags
// that were said and are not their source's to say, so that both can be told.
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
	provided = slices.DeleteFunc(provided, func(tag string) bool {
		name, isTask := taskOfTag(tag)
		return isTask && !mayRun(static, name)
	})
	return tagSet(provided), tagSet(required), tagSet(ignored)
}

// mayRun says whether an administrator lets the machine run a task.
func mayRun(static map[string]any, name string) bool {
	named := func(key string) bool { return slices.Contains(TaskNames(static[key]), name) }
	if len(TaskNames(static[TasksAllowlist])) > 0 {
		return named(TasksAllowlist)
	}
	return !named(TasksDenylist)
}

// TaskNames reads an allowlist or a denylist: names as the catalogue writes them.
func TaskNames(value any) (names []string) {
	for _, name := range tagList(value) {
		names = append(names, Canonical(name))
	}
	return names
}

// taskOfTag gives the task whose version a tag is about.
func taskOfTag(tag string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(tag, "worker:task:worker:")
	name, _, versioned := strings.Cut(rest, ":version:")
	return name, ok && versioned && name != ""
}

// Implied are the tags that queue names may leave out: what a build machine
// provides that does all tasks of this release.
func Implied() (tags []string) {
	for _, name := range WorkerTasks() {
		tags = append(tags, impliedBy(name, nil)...)
	}
	return tagSet(tags)
}

// impliedBy are the tags that a task on an architecture implies: what the name of
// its queue leaves out. A machine that lacks one of them gets none of its work.
// Work that requires another backend than the usual one does not imply that.
func impliedBy(name string, required []string) []string {
	tags := []string{"worker:type:worker", versionTag(name)}
	if !slices.ContainsFunc(required, func(tag string) bool { return strings.HasPrefix(tag, executorTag) && tag != usualExecutor }) {
		tags = append(tags, usualExecutor)
	}
	switch name {
	case "sbuild", "mmdebstrap":
		tags = append(tags, "worker:cap:"+name)
	case "simplesystemimagebuild":
		tags = append(tags, "worker:cap:mmdebstrap", "worker:cap:system-image")
	case "extractforsigning", "assemblesignedsource", "makesourcepackageupload":
		tags = append(tags, "worker:cap:sbuild") // which brings dpkg-dev
	}
	return tags
}

// Entitled is the two-way test: a machine may have the work when both answers
// are empty. missing are the tags that the work requires and the machine lacks;
// unmet are those that the machine demands and the work does not provide.
func Entitled(workerProvided, workerRequired, taskRequired, taskProvided []string) (missing, unmet []string) {
	return without(taskRequired, workerProvided), without(workerRequired, taskProvided)
}

// Machine is what the two-way test asks of a machine.
type Machine struct{ Provided, Required []string }

// Nearest is the machine that lacks least of what the work requires, and among
// equals demands least that the work lacks: what both are. none says that there is
// no machine at all.
func Nearest(machines []Machine, taskRequired, taskProvided []string) (missing, unmet []string, none bool) {
	for i, m := range machines {
		lacks, demands := Entitled(m.Provided, m.Required, taskRequired, taskProvided)
		if i == 0 || len(lacks) < len(missing) || len(lacks) == len(missing) && len(demands) < len(unmet) {
			missing, unmet = lacks, demands
		}
	}
	return missing, unmet, len(machines) == 0
}

// NobodyFor says in words why none of the enabled machines may have work; nothing
// when one may. For what other work a machine is kept is nobody's business.
func NobodyFor(enabled []Machine, taskRequired, taskProvided []string) string {
	missing, unmet, none := Nearest(enabled, QueueRequired(taskRequired), taskProvided)
	switch {
	case none:
		return "no worker is enabled"
	case len(missing) > 0:
		return "no enabled worker provides " + strings.Join(missing, ", ")
	case len(unmet) > 0:
		return "every enabled worker that could is kept for other work"
	}
	return ""
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
