package throwaway

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// identity is the user that the server programs run as. Nil stands for the user of the demo.
type identity struct {
	name     string
	uid, gid int
}

// unprivileged returns who the server programs run as: they refuse root, so root takes the user postgres, else nobody.
func unprivileged(euid int) (*identity, error) {
	if euid != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &identity{name: name, uid: uid, gid: gid}, nil
	}
	return nil, errors.New("postgres does not run as root, and there is no user postgres or nobody to run it as")
}

// own makes a path belong to the identity.
func (i *identity) own(path string) error {
	if i == nil {
		return nil
	}
	return os.Chown(path, i.uid, i.gid)
}

func (i *identity) String() string {
	if i == nil {
		return ""
	}
	return ", run as user " + i.name
}
