package task

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

const (
	archTag    = "worker:build-arch:"
	buildQueue = "build/" // of work that names an architecture
	otherQueue = "work"   // of work that names none
	usualTask  = "sbuild" // what a queue is for that names no task

	executorTag   = "worker:executor:"
	usualExecutor = executorTag + "unshare"

	longest = 200 // characters of a queue's name; Temporal takes 1,000
)

// QueueName names the queue of the work requests that require these tags and
// provide these gates: build/amd64, build/amd64/mmdebstrap,
// build/amd64+class:big, build/amd64~workspace:debusine:security. It is a pure
// function, so every process comes to the same name, and who happens to be
// registered never changes it.
//
// The first architecture stands in front and the task behind it, unless that is
// sbuild: each task has queues of its own, since a machine may be denied one or
// lack its tool. The tags that the task implies are left out; every other
// required tag follows a +, every gate a ~, without its leading "worker:" or
// "task:". Letters that mean something here are written %XX. Two pairs that
// differ in more than implied tags never share a name; one that would be too long
// ends in # and a hash.
func QueueName(required, gates []string) string {
	var name strings.Builder
	rest := tagSet(required)
	if arch, left, ok := takeArch(rest); ok {
		name.WriteString(buildQueue + escapeTag(arch))
		does := taskOf(left)
		if does != usualTask {
			name.WriteString("/" + escapeTag(does))
		}
		implied := impliedBy(does, left)
		rest = slices.DeleteFunc(left, func(tag string) bool { return slices.Contains(implied, tag) })
	} else {
		name.WriteString(otherQueue)
	}
	for _, tag := range rest {
		name.WriteString("+" + shortTag(tag, "worker:"))
	}
	for _, tag := range tagSet(gates) {
		name.WriteString("~" + shortTag(tag, "task:"))
	}
	return bounded(name.String())
}

// QueueRequired are all the tags that a machine must provide to be given work
// of the queue: those that were asked for and those that the name leaves out.
func QueueRequired(required []string) []string {
	if _, left, ok := takeArch(tagSet(required)); ok {
		return tagSet(append(slices.Clone(required), impliedBy(taskOf(left), left)...))
	}
	return tagSet(required)
}

// taskOf is the first task of this release whose version is among sorted tags,
// or the usual one.
func taskOf(tags []string) string {
	for _, tag := range tags {
		if name, ok := taskOfTag(tag); ok && tag == versionTag(name) {
			return name
		}
	}
	return usualTask
}

// MayPoll says that the gateway may fetch work of the queue for a build
// machine. The queues of the trusted network are never among them.
func MayPoll(name string) bool {
	for _, prefix := range []string{buildQueue, otherQueue + "+", otherQueue + "~"} {
		if strings.HasPrefix(name, prefix) {
			return name != buildQueue
		}
	}
	return name == otherQueue
}

// PriorityKey is Temporal's priority key, 1 (first) to 5 (last), of a work
// request's effective priority. It is coarse: the gateway orders the queues by
// the exact priority of the rows, Temporal the tasks within a queue.
func PriorityKey(effective int) int {
	switch {
	case effective >= 10:
		return 1
	case effective > 0:
		return 2
	case effective == 0:
		return 3
	case effective > -10:
		return 4
	}
	return 5
}

// takeArch splits off the first architecture of sorted tags.
func takeArch(tags []string) (arch string, rest []string, ok bool) {
	for i, tag := range tags {
		if arch, ok := strings.CutPrefix(tag, archTag); ok && arch != "" {
			return arch, slices.Concat(tags[:i], tags[i+1:]), true
		}
	}
	return "", tags, false
}

// shortTag leaves out the usual prefix; a tag without it is marked with !.
func shortTag(tag, usual string) string {
	if short, ok := strings.CutPrefix(tag, usual); ok {
		return escapeTag(short)
	}
	return "!" + escapeTag(tag)
}

func escapeTag(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("._:-", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// bounded shortens a long name to its beginning and a hash of the whole.
func bounded(name string) string {
	if len(name) <= longest {
		return name
	}
	return fmt.Sprintf("%s#%x", name[:longest-65], sha256.Sum256([]byte(name)))
}

// FairnessKey is Temporal's: among equal priorities the workspaces of a queue
// take turns. It takes 64 bytes; what is longer ends in a hash.
func FairnessKey(scope, workspace string) string {
	const most = 64
	key := scope + "/" + workspace
	if len(key) <= most {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return fmt.Sprintf("%s#%x", key[:most-17], sum[:8])
}
