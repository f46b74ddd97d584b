package config

import (
	"regexp"
	"strings"
)

// sizeUnits are the units of a number of bytes, the largest first.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// sizeValue is a number of bytes, written as 4194304 or as 4MiB.
func sizeValue[T integer](at *T) value {
	is := form{"size", "a number of bytes, such as 65536, 64KiB, 4MiB or 1GiB"}
	return scalar[T]{at: at, read: readSize[T], write: writeSize[T], tags: []string{"!!int", "!!str"}, is: is, hint: sizeHint[T]}
}

// otherUnits matches a size whose unit is written in another way than ours.
var otherUnits = regexp.MustCompile(`(?i)^(\d+)\s*([kmg])i?b?$`)

// sizeHint returns how a size is written that was written as 10GB, 64k or 4 MiB.
func sizeHint[T integer](text string) string {
	match := otherUnits.FindStringSubmatch(strings.TrimSpace(text))
	if match == nil {
		return ""
	}
	hint := match[1] + strings.ToUpper(match[2]) + "iB"
	if _, ok := readSize[T](hint); !ok {
		return ""
	}
	return hint
}

func readSize[T integer](text string) (T, bool) {
	for _, unit := range sizeUnits {
		digits, found := strings.CutSuffix(text, unit.suffix)
		if !found {
			continue
		}
		n, ok := readInt[int64](digits)
		bytes := n * unit.bytes
		return T(bytes), ok && bytes/unit.bytes == n && int64(T(bytes)) == bytes
	}
	return readInt[T](text)
}

func writeSize[T integer](size T) string {
	for _, unit := range sizeUnits {
		if n := int64(size); n != 0 && n%unit.bytes == 0 {
			return writeInt(n/unit.bytes) + unit.suffix
		}
	}
	return writeInt(size)
}
