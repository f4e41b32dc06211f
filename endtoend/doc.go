// Package endtoend holds no code, only tests: they start a whole installation
// (PostgreSQL, Temporal, server, build machines) from a binary whose named
// crash points are live, use it through the API as people and machines do, and
// kill its parts in each gap between two writes.
package endtoend
