package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds how deep headers, claims and key sets may nest.
const maxDepth = 20

// ParseObject decodes data, which must be one JSON object and nothing else, in
// the way that leaves no two readers with different answers: valid UTF-8, no
// member twice at any depth, no lone surrogates, at most 20 levels. Values are
// string, json.Number, bool, nil, []any and map[string]any. Every error is
// ErrMalformed and holds nothing of data.
func ParseObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, fmt.Errorf("%w: not JSON in UTF-8", ErrMalformed)
	}
	if loneSurrogate(data) {
		return nil, fmt.Errorf("%w: half of a surrogate pair", ErrMalformed)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	value, err := parseValue(decoder, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	return object, nil
}

// parseValue reads the next value of JSON known to be valid.
func parseValue(decoder *json.Decoder, depth int) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == 0 {
		return nil, errors.New("nested too deep")
	}
	if delim == '[' {
		return parseElements(decoder, depth-1)
	}
	return parseMembers(decoder, depth-1)
}

func parseElements(decoder *json.Decoder, depth int) ([]any, error) {
	elements := []any{}
	for decoder.More() {
		element, err := parseValue(decoder, depth)
		if err != nil {
			return nil, err
		}
		elements = append(elements, element)
	}
	_, err := decoder.Token() // the closing bracket
	return elements, err
}

func parseMembers(decoder *json.Decoder, depth int) (map[string]any, error) {
	members := make(map[string]any)
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		key, _ := name.(string) // the grammar allows nothing else here
		if _, twice := members[key]; twice {
			return nil, errors.New("a member twice")
		}
		if members[key], err = parseValue(decoder, depth); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token() // the closing brace
	return members, err
}

// loneSurrogate reports whether an escape in valid JSON names half of a UTF-16
// pair. encoding/json would replace it, and different strings become equal.
func loneSurrogate(data []byte) bool {
	for i := bytes.IndexByte(data, '\\'); i >= 0 && i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		i++ // the escaped character
		unit := escapedUnit(data, i)
		switch {
		case unit >= 0xD800 && unit < 0xDC00:
			if low := escapedUnit(data, i+6); data[i+5] != '\\' || low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 10
		case unit >= 0xDC00 && unit <= 0xDFFF:
			return true
		}
	}
	return false
}

// escapedUnit returns the UTF-16 unit of an escape whose u stands at i, 0 when
// there is none.
func escapedUnit(data []byte, i int) uint64 {
	if i+5 > len(data) || data[i] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(string(data[i+1:i+5]), 16, 16)
	if err != nil {
		return 0
	}
	return unit
}
