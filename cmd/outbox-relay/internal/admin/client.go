package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// clientTimeout bounds one question to a relay.
const clientTimeout = 2 * time.Second

// maxStatus is more than the JSON of any status needs, in bytes.
const maxStatus = 16 << 20

// URL returns where a relay that listens on an address answers. A relay that listens on every interface is asked over loopback.
func URL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// FetchStatus asks the relay that answers at url, see [URL]. It takes at most two seconds.
func FetchStatus(ctx context.Context, url string) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+StatusPath, nil)
	if err != nil {
		return Status{}, err
	}
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy: the relay is near
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return Status{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Status{}, fmt.Errorf("%s answered %s: is it an outbox-relay?", url, response.Status)
	}
	var s Status
	if err := json.NewDecoder(io.LimitReader(response.Body, maxStatus)).Decode(&s); err != nil {
		return Status{}, fmt.Errorf("%s answered no status: %w", url, err)
	}
	return s, nil
}
