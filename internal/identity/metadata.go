package identity

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// The parts of a user's metadata, each a JSON object, of which clients' custom claims
// are made.
const (
	MetadataAdmin = "admin" // only administrators change it
	MetadataUser  = "user"  // the user changes it too
)

// maxMetadata limits the metadata of a user as stored, in bytes.
const maxMetadata = 8 << 10

// ChangeMetadata returns the stored metadata with these parts, each replaced as a whole;
// JSON null removes one. Parts that are not given stay.
func ChangeMetadata(stored string, parts map[string]json.RawMessage) (string, error) {
	all := map[string]json.RawMessage{}
	if stored != "" {
		if err := json.Unmarshal([]byte(stored), &all); err != nil {
			return "", fmt.Errorf("stored metadata is malformed: %w", err)
		}
	}
	for part, value := range parts {
		var object map[string]json.RawMessage
		switch err := json.Unmarshal(value, &object); {
		case part != MetadataAdmin && part != MetadataUser:
			return "", fault.BadField("metadata", "metadata has the parts admin and user only")
		case bytes.Equal(bytes.TrimSpace(value), []byte("null")):
			delete(all, part)
		case err != nil:
			return "", fault.BadField("metadata", "metadata."+part+" must be a JSON object, or null")
		default:
			all[part] = value
		}
	}
	if len(all) == 0 {
		return "", nil
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "", fault.BadField("metadata", "metadata must be JSON")
	}
	if len(text) > maxMetadata {
		return "", fault.BadField("metadata", fmt.Sprintf("metadata must be at most %d bytes", maxMetadata))
	}
	return string(text), nil
}

// OwnMetadata returns what users see of their own metadata: an object with the field
// user; empty: none.
func OwnMetadata(stored string) string {
	if stored == "" {
		return ""
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal([]byte(stored), &parts); err != nil || len(parts[MetadataUser]) == 0 {
		return ""
	}
	return `{"` + MetadataUser + `":` + string(parts[MetadataUser]) + "}"
}
