package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gameoutbox/relay/relay/verify"
)

// writeVerified writes for people what was found.
func writeVerified(out io.Writer, found *verified) error {
	var text bytes.Buffer
	t := table{tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)}
	t.verified(found)
	if err := t.Flush(); err != nil {
		return err
	}
	if len(found.Findings) > 0 {
		fmt.Fprintln(&text)
		if err := writeFindings(&text, found); err != nil {
			return err
		}
	}
	_, err := out.Write(text.Bytes())
	return err
}

func (t table) verified(found *verified) {
	r := found.Report
	t.row("stream", "%s %s, %s", r.Broker, r.Stream, partOf(r))
	t.row("compared", "%s in %s%s", count(r.Events, "event"), r.Took.Round(time.Millisecond), whyNone(r))
	t.row("missing", "%d%s", r.Missing, doubtful(r))
	t.row("duplicated", "%d", r.Duplicated)
	t.row("out of order", "%d", r.OutOfOrder)
	t.row("altered", "%d", r.Altered)
	t.row("expired", "%d%s", r.Expired, colon(r.Expires))
	if r.Elsewhere > 0 {
		t.row("not compared", "%s that other streams acknowledged%s", count(r.Elsewhere, "event"), colon(listOthers(r.Others)))
	}
	if found.Repair != nil {
		t.row("sent again", "%s", repairText(found.Repair))
	}
}

func listOthers(others []verify.Other) string {
	var parts []string
	for _, other := range others {
		parts = append(parts, fmt.Sprintf("%d by %s", other.Events, strings.TrimSpace(other.Broker+" "+other.Stream)))
	}
	return strings.Join(parts, ", ")
}

func partOf(r *verify.Report) string {
	if r.Last == 0 {
		return "nothing to read"
	}
	return fmt.Sprintf("sequences %d to %d", r.First, r.Last)
}

// doubtful says how much of what is missing may have been delivered.
func doubtful(r *verify.Report) string {
	if r.Doubtful == 0 {
		return ""
	}
	return fmt.Sprintf(", of which a limit of the stream, or a consumer, may have removed %d", r.Doubtful)
}

// whyNone explains a comparison of nothing, which must not look like a success.
func whyNone(r *verify.Report) string {
	if r.Events > 0 {
		return ""
	}
	return ": none that is selected is retained (see relay.retention)"
}

func writeFindings(out io.Writer, found *verified) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FINDING\tID\tEVENT ID\tSUBJECT\tKEY\tSEQUENCE\tDETAIL")
	for _, f := range found.Findings {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", strings.ReplaceAll(string(f.Kind), "_", " "), f.ID, f.EventID, printable(f.Subject),
			cmp.Or(printable(f.Key), "-"), cmp.Or(strings.Trim(fmt.Sprint(f.Sequences), "[]"), "-"), printable(f.Detail))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if found.Omitted > 0 {
		fmt.Fprintf(out, "and %d more; --all-findings shows them\n", found.Omitted)
	}
	return nil
}
