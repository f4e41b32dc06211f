// Package debusine holds the nouns of the system: scopes, workspaces, users,
// tokens, artifacts, collections, work requests, workers and workflow
// templates, and the few faults that everything else reports.
//
// It knows no database, no network and no engine. What it does know are the
// rules that hold wherever the nouns are kept: which data an artifact category
// takes (ParseArtifactData), how a work request may change its status, and who
// may do what (Principal and the table of rights in rights.go). The adapters
// below it (store, server, client, workflows) meet only through these types.
//
// The names are Debusine's own, so that a release manager who has read its
// documentation recognises every word.
package debusine
