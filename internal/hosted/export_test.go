package hosted

// For the tests of flows in a browser.
var (
	Chromium = chromium
	Console  = console
)
