// Renders the templates of alert rules and of messages as Grafana does, with Go's text/template: annotations with the functions that
// Grafana documents and our rules use (any other is an error), messages with Alertmanager's own package, which Grafana's is made of.
package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"text/template"
	"time"

	notify "github.com/prometheus/alertmanager/template"
)

type value struct {
	Labels map[string]string
	Value  float64
}

// What `.` is in an annotation.
type data struct {
	Labels map[string]string
	Values map[string]value
	Value  string
}

type alert struct {
	Status       string
	StartsAt     time.Time
	EndsAt       time.Time
	GeneratorURL string
	Annotations  map[string]string
	Labels       map[string]string // of the alert: the query's and the rule's
	Data         data
}

type input struct {
	ExternalURL string
	Template    string
	Title       string
	Message     string
	Alerts      []alert
}

type output struct {
	Annotations []map[string]string
	Title       string
	Message     string
}

func main() {
	var in input
	check(json.NewDecoder(os.Stdin).Decode(&in))
	external, err := url.Parse(in.ExternalURL)
	check(err)
	out := output{Annotations: []map[string]string{}}
	told := notify.Data{ExternalURL: in.ExternalURL}
	for _, one := range in.Alerts {
		said := map[string]string{}
		for name, text := range one.Annotations {
			said[name] = annotation(text, one.Data, external)
		}
		out.Annotations = append(out.Annotations, said)
		told.Alerts = append(told.Alerts, notify.Alert{
			Status: one.Status, Labels: notify.KV(one.Labels), Annotations: notify.KV(said),
			StartsAt: one.StartsAt, EndsAt: one.EndsAt, GeneratorURL: one.GeneratorURL,
		})
	}
	made, err := notify.New()
	check(err)
	check(made.Parse(strings.NewReader(in.Template)))
	made.ExternalURL = external
	out.Title, err = made.ExecuteTextString(in.Title, &told)
	check(err)
	out.Message, err = made.ExecuteTextString(in.Message, &told)
	check(err)
	check(json.NewEncoder(os.Stdout).Encode(out))
}

func annotation(text string, given data, external *url.URL) string {
	functions := template.FuncMap{
		"externalURL":        func() string { return external.String() },
		"humanizePercentage": func(share float64) string { return fmt.Sprintf("%.4g%%", share*100) },
		"reReplaceAll": func(pattern, with, in string) string {
			return regexp.MustCompile(pattern).ReplaceAllString(in, with)
		},
	}
	before := "{{- $labels := .Labels -}}{{- $values := .Values -}}{{- $value := .Value -}}"
	parsed, err := template.New("annotation").Funcs(functions).Option("missingkey=invalid").Parse(before + text)
	check(err)
	var written strings.Builder
	check(parsed.Execute(&written, given))
	return written.String()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
