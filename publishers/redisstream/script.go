package redisstream

import (
	"crypto/sha1" //nolint:gosec // what Redis names scripts by
	_ "embed"     // the scripts are files
	"encoding/hex"
)

//go:embed lua/try.lua
var tryLua string

//go:embed lua/stream.lua
var streamLua string

//go:embed lua/append.lua
var appendLua string

//go:embed lua/hash.lua
var hashLua string

//go:embed lua/idmp.lua
var idmpLua string

//go:embed lua/idmp_limits.lua
var idmpLimitsLua string

//go:embed lua/state.lua
var stateLua string

//go:embed lua/page.lua
var pageLua string

// mode is a way in which the server recognises an event that it already stored.
type mode struct {
	name string // for the log
	text string // of the script
	sha  string // by which the server knows the script
	keys []string
}

// The ways. A server with IDMP remembers ids inside the stream; for any other the script keeps them in two hashes beside it.
var (
	hashMode = newMode("script", hashLua, gateKey, idsKey, olderKey)
	idmpMode = newMode("idmp", idmpLua, gateKey)
)

func newMode(name, way string, keys ...string) mode {
	text := tryLua + streamLua + way + appendLua
	sum := sha1.Sum([]byte(text)) //nolint:gosec // as above
	return mode{name: name, text: text, sha: hex.EncodeToString(sum[:]), keys: keys}
}
