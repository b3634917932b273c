package jose

// SignRaw signs an encoded header and payload that a test chose.
func SignRaw(key *PrivateKey, input string) (string, error) {
	signature, err := key.key.sign([]byte(input))
	return input + "." + encode(signature), err
}

// SignBare is the signature alone, the measure for what a token adds.
func SignBare(key *PrivateKey, input []byte) []byte {
	signature, err := key.key.sign(input)
	if err != nil {
		panic(err)
	}
	return signature
}
