// Package outbound is the one HTTP client for addresses that others chose, such
// as those of clients.
//
// It owns what such a request may reach: https only, addresses of the public internet
// only unless the operator names a host or a network, no redirect, few bytes, little
// time. The address is checked when it is dialled, after its name was resolved. It does
// not know what is sent. session calls it, to deliver logout tokens.
package outbound
