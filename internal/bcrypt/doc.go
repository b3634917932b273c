// Package bcrypt computes bcrypt hashes of several passwords in one stream of
// instructions.
//
// One hash leaves most of a core idle: each step waits for a table lookup that
// depends on the step before. Two to four independent hashes, their steps
// interleaved, share that wait, so a core makes about three times as many
// hashes and each takes little longer than alone.
//
// It owns the arithmetic and the text form of a hash, nothing else: which costs
// and passwords are good, who waits, and when a hash begins is decided by
// password, its only caller. Tests hold it to the same answers as
// golang.org/x/crypto/bcrypt, bit for bit.
package bcrypt
