// Reads and writes a ClickHouse over HTTP the way Grafana's plugin does, and prints what it saw as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

type result struct {
	Version string     `json:"version"`
	Rows    [][]string `json:"rows"`
	Columns []string   `json:"columns"`
	Count   uint64     `json:"count"`
	Sum     uint64     `json:"sum"`
	Error   int32      `json:"error"`
	Stored  uint64     `json:"stored"`
	Bound   string     `json:"bound"`
}

func main() {
	methods := map[string]clickhouse.CompressionMethod{
		"none": clickhouse.CompressionNone, "gzip": clickhouse.CompressionGZIP, "lz4": clickhouse.CompressionLZ4,
		"zstd": clickhouse.CompressionZSTD, "br": clickhouse.CompressionBrotli, "deflate": clickhouse.CompressionDeflate,
	}
	connection, err := clickhouse.Open(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{os.Args[1]},
		Auth:        clickhouse.Auth{Database: os.Args[2], Username: os.Args[3], Password: os.Getenv("GOCLIENT_PASSWORD")},
		Compression: &clickhouse.Compression{Method: methods[os.Args[4]], Level: 1},
		Settings:    clickhouse.Settings{"max_execution_time": 60},
		DialTimeout: 10 * time.Second,
	})
	check(err)
	if os.Args[5] == "-" {
		answers, err := askAll(connection, os.Stdin)
		check(err)
		check(json.NewEncoder(os.Stdout).Encode(answers))
		return
	}
	seen, err := run(connection, os.Args[5])
	check(err)
	check(json.NewEncoder(os.Stdout).Encode(seen))
}

// askAll answers a JSON list of statements, as a dashboard full of panels asks them.
func askAll(connection driver.Conn, list io.Reader) ([]result, error) {
	var statements []string
	if err := json.NewDecoder(list).Decode(&statements); err != nil {
		return nil, err
	}
	answers := make([]result, len(statements))
	for index, statement := range statements {
		if err := ask(context.Background(), connection, statement, &answers[index]); err != nil {
			return nil, fmt.Errorf("statement %d: %w", index, err)
		}
	}
	return answers, nil
}

func run(connection driver.Conn, query string) (*result, error) {
	ctx := context.Background()
	seen := &result{}
	version, err := connection.ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	seen.Version = version.String()
	if err := ask(ctx, connection, query, seen); err != nil {
		return nil, err
	}
	many := "SELECT count(), sum(number) FROM (SELECT * FROM numbers(200000))"
	if err := connection.QueryRow(ctx, many).Scan(&seen.Count, &seen.Sum); err != nil {
		return nil, fmt.Errorf("aggregate: %w", err)
	}
	if err := connection.QueryRow(ctx, "SELECT {x:String}", clickhouse.Named("x", "it's bound")).Scan(&seen.Bound); err != nil {
		return nil, fmt.Errorf("bound: %w", err)
	}
	if err := stream(ctx, connection); err != nil {
		return nil, err
	}
	var exception *clickhouse.Exception
	if _, err := connection.Query(ctx, "SELECT * FROM no_such_table_anywhere"); errors.As(err, &exception) {
		seen.Error = exception.Code
	}
	if len(os.Args) > 6 {
		return seen, insert(ctx, connection, os.Args[6], seen)
	}
	return seen, nil
}

// ask reads all rows of one statement, each value as JSON.
func ask(ctx context.Context, connection driver.Conn, query string, seen *result) error {
	rows, err := connection.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	defer rows.Close()
	seen.Columns = rows.Columns()
	for rows.Next() {
		values := make([]any, len(seen.Columns))
		for index, column := range rows.ColumnTypes() {
			values[index] = reflect.New(column.ScanType()).Interface()
		}
		if err := rows.Scan(values...); err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		row := make([]string, len(values))
		for index, value := range values {
			encoded, err := json.Marshal(value)
			if err != nil {
				return err
			}
			row[index] = string(encoded)
		}
		seen.Rows = append(seen.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	return nil
}

// stream reads many blocks, so that every block's framing counts.
func stream(ctx context.Context, connection driver.Conn) error {
	rows, err := connection.Query(ctx, "SELECT number, toString(number) FROM numbers(200000)")
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	defer rows.Close()
	var expected, number uint64
	var text string
	for ; rows.Next(); expected++ {
		if err := rows.Scan(&number, &text); err != nil {
			return fmt.Errorf("stream: %w", err)
		}
		if number != expected || text != fmt.Sprint(expected) {
			return fmt.Errorf("stream: row %d arrived as %d, %q", expected, number, text)
		}
	}
	if expected != 200000 {
		return fmt.Errorf("stream: %d rows of 200000", expected)
	}
	return rows.Err()
}

func insert(ctx context.Context, connection driver.Conn, table string, seen *result) error {
	batch, err := connection.PrepareBatch(ctx, "INSERT INTO "+table+" (a, s)")
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	for number := int64(0); number < 1000; number++ {
		if err := batch.Append(number, fmt.Sprint(number)); err != nil {
			return fmt.Errorf("append: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return connection.QueryRow(ctx, "SELECT count() FROM "+table).Scan(&seen.Stored)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
