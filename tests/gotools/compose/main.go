// Reads what Docker reads, with Docker's own code: `compose load FILE` prints a compose file's project as JSON, as `docker compose config`
// does; `compose context DIR` prints the files that a build of DIR is given, as its .dockerignore says.
package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func main() {
	if os.Args[1] == "context" {
		check(given(os.Args[2]))
		return
	}
	check(load(os.Args[2]))
}

func load(file string) error {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithOsEnv, cli.WithEnvFiles(), cli.WithDotEnv)
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

func given(root string) error {
	list, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return err
	}
	defer list.Close()
	patterns, err := ignorefile.ReadAll(list)
	if err != nil {
		return err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		ignored, err := matcher.MatchesOrParentMatches(name)
		switch {
		case err != nil:
			return err
		case ignored && entry.IsDir() && !wanted(patterns, name):
			return filepath.SkipDir
		case !ignored && !entry.IsDir():
			fmt.Println(name)
		}
		return nil
	})
}

// wanted says whether a pattern may bring back something below a folder that is ignored.
func wanted(patterns []string, folder string) bool {
	for _, pattern := range patterns {
		if strings.HasPrefix(pattern, "!"+folder) || strings.HasPrefix(pattern, "!**") {
			return true
		}
	}
	return false
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
