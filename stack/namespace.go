package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
	"gopkg.in/yaml.v3"
)

// retention is how long the Temporal Web UI shows what has ended.
const retention = 30 * 24 * time.Hour

// searchAttributes reads temporal-config/search-attributes.yaml.
func searchAttributes(config string) (map[string]enums.IndexedValueType, error) {
	file := filepath.Join(config, "search-attributes.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the search attributes: %w", err)
	}
	var names map[string]string
	if err := yaml.Unmarshal(data, &names); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	kinds := map[string]enums.IndexedValueType{}
	for name, kind := range names {
		if kinds[name], err = enums.IndexedValueTypeFromString(kind); err != nil {
			return nil, fmt.Errorf("reading %s: %s: %w", file, name, err)
		}
	}
	return kinds, nil
}

// makeNamespace makes a namespace with our search attributes, as far as they are
// missing, and returns when the frontend knows them: its caches are refreshed
// every two seconds.
func (t *temporal) makeNamespace(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	want, err := searchAttributes(t.tools.config)
	if err != nil {
		return err
	}
	c, err := t.dial(ctx, name)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := register(ctx, c, name); err != nil {
		return err
	}
	missing, err := missingAttributes(ctx, c, name, want)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		_, err := c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: name, SearchAttributes: missing})
		if err != nil && !errors.As(err, new(*serviceerror.AlreadyExists)) {
			return fmt.Errorf("adding search attributes to the namespace %s: %w", name, err)
		}
	}
	return awaitAttributes(ctx, c, name, want)
}

func register(ctx context.Context, c client.Client, name string) error {
	var err error
	for {
		_, err = c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace: name, Description: "Debusine", WorkflowExecutionRetentionPeriod: durationpb.New(retention),
		})
		if err == nil || errors.As(err, new(*serviceerror.NamespaceAlreadyExists)) {
			return nil
		}
		// A server that has just come up may not know its cluster yet.
		if !errors.As(err, new(*serviceerror.Unavailable)) && !errors.As(err, new(*serviceerror.DeadlineExceeded)) {
			break
		}
		if !pause(ctx, 4*glance) {
			break
		}
	}
	return fmt.Errorf("making the namespace %s: %w", name, err)
}

func missingAttributes(ctx context.Context, c client.Client, name string, want map[string]enums.IndexedValueType) (map[string]enums.IndexedValueType, error) {
	for {
		have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: name})
		if errors.As(err, new(*serviceerror.NamespaceNotFound)) && pause(ctx, 4*glance) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listing the search attributes of %s: %w", name, err)
		}
		missing := maps.Clone(want)
		for attribute, kind := range have.CustomAttributes {
			if wanted, ok := want[attribute]; ok && wanted != kind {
				return nil, fmt.Errorf("the search attribute %s of the namespace %s is of type %s and not %s; hint: remove it with Temporal's operator command, then start again", attribute, name, kind, wanted)
			}
			delete(missing, attribute)
		}
		return missing, nil
	}
}

// awaitAttributes asks until a search by each attribute is understood.
func awaitAttributes(ctx context.Context, c client.Client, name string, want map[string]enums.IndexedValueType) error {
	for _, attribute := range slices.Sorted(maps.Keys(want)) {
		for {
			_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: name, Query: attribute + " IS NULL"})
			if err == nil {
				break
			}
			if !pause(ctx, 4*glance) {
				return fmt.Errorf("waiting for the search attribute %s: %w", attribute, err)
			}
		}
	}
	return nil
}

// pause answers false when ctx ended instead.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
