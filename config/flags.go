package config

import (
	"slices"

	"github.com/spf13/pflag"
)

// AddFlags defines a flag for every key, named like the key: --mq.nats_url. All are accepted; those of the shown sections
// appear in the help, or those of every section if none is named. [Load] reads them later, so that a wrong value is reported
// beside all the other problems.
func AddFlags(flags *pflag.FlagSet, shown ...string) {
	c := DefaultConfig()
	for _, k := range c.keys() {
		hidden := len(shown) > 0 && !slices.Contains(shown, k.section())
		addFlag(flags, k.name, &settingFlag{kind: k.field.form().word}, k.help+flagDefault(k), hidden)
		if k.secret() {
			addFlag(flags, k.name+fileSuffix, &settingFlag{kind: "path"}, "file that holds "+k.name, hidden)
		}
	}
}

func addFlag(flags *pflag.FlagSet, name string, f *settingFlag, help string, hidden bool) {
	added := flags.VarPF(f, name, "", help)
	added.Hidden = hidden
	if f.kind == "bool" {
		added.NoOptDefVal = "true"
	}
}

// flagDefault words the default at the end of a help line. pflag cannot do it, for to pflag a flag that is not given is empty.
func flagDefault(k key) string {
	if text := k.field.text(); text != "" {
		return " (default " + text + ")"
	}
	return ""
}

// settingFlag keeps the text of a flag as it was given. A flag that is given again adds to a list and replaces anything else.
type settingFlag struct {
	kind string
	text string
}

func (f *settingFlag) String() string { return f.text }
func (f *settingFlag) Type() string   { return f.kind }

func (f *settingFlag) Set(text string) error {
	if f.kind == "list" && f.text != "" {
		text = f.text + "," + text
	}
	f.text = text
	return nil
}

// readFlags reads the settings of the flags that were given.
func (t *keyTable) readFlags(flags *pflag.FlagSet) layer {
	var l layer
	if flags == nil {
		return l
	}
	flags.Visit(func(given *pflag.Flag) {
		k, fromFile, found := t.find(given.Name)
		if !found {
			return
		}
		l.settings = append(l.settings,
			setting{key: k, fromFile: fromFile, where: "--" + given.Name, text: given.Value.String()})
	})
	l.refuseDoubleSecrets()
	return l
}
