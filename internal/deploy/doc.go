// Package deploy tests what the repository offers for running the server: the container
// image, compose.yaml and the example for Kubernetes.
//
// It contains only tests, and no package imports it. The tests that start programs
// need root on Linux and the archives of `make image`, and do not need a container
// engine: `make image-check` calls them.
package deploy
