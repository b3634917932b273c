package server

// WriteCertificate puts a self-signed pair for localhost into a folder.
var WriteCertificate = writeCertificate
