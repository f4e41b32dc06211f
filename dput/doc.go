// Package dput brings an upload to the queue of an archive, by ftp or sftp, as
// dput(1) does: every file under its own name, the .changes last.
//
// What can go wrong is the point. A connection breaks in the midst of a file, or
// after the server has all of it and before it says so; the disk there is full
// for an hour; the daemon behind the queue takes the files away the moment that
// the .changes is whole. An upload that comes twice is rejected, or worse, is
// accepted twice. So each attempt looks first:
//
//   - The .changes is there with our bytes: it is done, nothing is sent.
//   - It is there with other bytes: somebody else's. Nothing is sent.
//   - A part of it is there, or none: the other files are looked at, each is
//     kept (the same bytes), continued (a part of them) or sent anew, and the
//     .changes follows.
//
// That leaves one gap, which no look can close: the .changes was sent, nobody
// said that it arrived, and now it is not there. Before its first byte is sent
// Parcel.Committing is called, which keeps that across crashes (Parcel.Begun).
// With it, the other files tell: they are all there, so no daemon came, and the
// .changes is sent; they are all gone, within the time in which no daemon tidies
// up, so one took them, and the upload is done; anything else is a Conflict that
// a person decides. See docs/uploads.md.
//
// Where reading is not allowed, as in most queues of archives, sizes alone are
// compared, and Receipt says so. Errors that another attempt cannot mend are
// faults (debusine.Forbidden and its like); all others may pass, and are tried
// again after delays.
//
// Check (check.go) holds an upload to what dput would find before it sends.
package dput
