package config

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// fields returns the path of every field of a struct by its yaml tags, with its address.
func fields(prefix string, v reflect.Value, into map[string]uintptr) map[string]uintptr {
	for i := range v.NumField() {
		tag, field := v.Type().Field(i).Tag.Get("yaml"), v.Field(i)
		if tag == "-" {
			continue // no setting
		}
		name := prefix + tag
		if field.Kind() == reflect.Struct {
			fields(name+".", field, into)
			continue
		}
		into[name] = field.Addr().Pointer()
	}
	return into
}

func TestEveryFieldHasItsKey(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	want := fields("", reflect.ValueOf(&c).Elem(), map[string]uintptr{})
	have := map[string]bool{}
	for _, k := range c.keys() {
		require.Contains(t, want, k.name, "a key without a field")
		require.Equal(t, want[k.name], address(k.field), "%s sets another field", k.name)
		require.False(t, have[k.name], "%s is there twice", k.name)
		have[k.name] = true
	}
	require.Len(t, have, len(want), "a field without a key")
}

// address returns where the field is that a value sets.
func address(v value) uintptr { return reflect.ValueOf(v).FieldByName("at").Pointer() }

func TestNamesDoNotCollide(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	table := newKeyTable(c.keys())
	require.Len(t, table.byName, len(table.names), "a key is named like the file of a secret")
	variables := map[string]string{}
	for _, name := range table.names {
		require.Empty(t, variables[envName(name)], "%s has the same variable", name)
		variables[envName(name)] = name
	}
}

func TestEveryKeyAndSectionIsExplained(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	for _, k := range c.keys() {
		require.Regexp(t, `^["\x60A-Za-z].*\.$`, k.help, k.name)
		require.NotEmpty(t, sectionHelp[k.section()], k.name)
	}
}

func TestTextOfEveryDefaultIsReadBack(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	for _, k := range c.keys() {
		text := k.field.text()
		require.True(t, k.field.parse(text), k.name)
		require.Equal(t, text, k.field.text(), k.name)
		require.True(t, k.field.decode(k.field.node()), k.name)
		require.Equal(t, text, k.field.text(), k.name)
	}
	want := DefaultConfig()
	require.Equal(t, want, c)
}
