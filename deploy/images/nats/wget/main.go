// Command wget stands in for the wget of the official Alpine image, so that one health check in compose.yaml serves both. It
// gets the last argument, a URL, and ends with 0 if the answer is 200 and with 1 otherwise. Flags are accepted and ignored.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := get(os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func get(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}
