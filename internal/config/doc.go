// Package config turns application.yaml and the environment into one Config.
//
// It owns every setting: its name, default, what it may hold, and where its value
// came from; the table in settings.go is the only list, and docs/configuration.md
// is written from it. It does not act on any value: it opens no database and
// creates no file. server and cmd call it; the packages below get plain values.
//
// Load reports every fault at once, each as one sentence that names the setting
// and the line or variable it was read from. A fault never repeats the value:
// it may be a password under the wrong setting.
package config

//go:generate go test -run TestReferenceIsCurrent . -update
