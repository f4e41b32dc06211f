package api

import "encoding/json"

// TaskConfiguration is the answer of GET task-configuration/WORKSPACE/NAME/: the
// collection and all of its entries. An entry has the fields of
// debusine:task-configuration.
type TaskConfiguration struct {
	Collection TaskConfigurationCollection `json:"collection"`
	Items      []json.RawMessage           `json:"items"`
}

// TaskConfigurationCollection names the collection; its data hold git_commit, the
// commit of the work tree that was pushed last.
type TaskConfigurationCollection struct {
	ID   int64             `json:"id"`
	Name string            `json:"name"`
	Data map[string]string `json:"data"`
}

// TaskConfigurationUpdate is the body of POST task-configuration/WORKSPACE/NAME/: the
// whole configuration. With dry_run nothing is changed.
type TaskConfigurationUpdate struct {
	Collection TaskConfigurationCollection `json:"collection"`
	Items      []json.RawMessage           `json:"items"`
	DryRun     bool                        `json:"dry_run"`
}

// TaskConfigurationCounts is its answer: what became of the entries.
type TaskConfigurationCounts struct {
	Added     int `json:"added"`
	Updated   int `json:"updated"`
	Removed   int `json:"removed"`
	Unchanged int `json:"unchanged"`
}

// TaskConfigurationQuestion is the body of POST
// task-configuration/WORKSPACE/NAME/explain/: some work that might be asked for.
type TaskConfigurationQuestion struct {
	TaskType     string                     `json:"task_type,omitempty"` // default Worker
	TaskName     string                     `json:"task_name"`
	Subject      string                     `json:"subject,omitempty"`
	Context      string                     `json:"context,omitempty"`
	TagsProvided []string                   `json:"tags_provided,omitempty"`
	TagsRequired []string                   `json:"tags_required,omitempty"`
	TaskData     map[string]json.RawMessage `json:"task_data,omitempty"`
}

// TaskConfigurationAnswer tells which entries apply, in order, and what comes of it.
type TaskConfigurationAnswer struct {
	Steps       []TaskConfigurationStep    `json:"steps"`
	TaskData    map[string]json.RawMessage `json:"configured_task_data"`
	ProvideTags []string                   `json:"provide_tags"`
	RequireTags []string                   `json:"require_tags"`
}

// TaskConfigurationStep is what one entry did. It also stands in the dynamic data of
// a work request, as configured_by.
type TaskConfigurationStep struct {
	Entry   string                    `json:"entry"`
	Where   string                    `json:"where"`
	Via     []string                  `json:"via,omitempty"` // the entry and templates that led here
	Comment string                    `json:"comment,omitempty"`
	Changes []TaskConfigurationChange `json:"changes,omitempty"`
	Tags    []string                  `json:"tags,omitempty"`
}

// TaskConfigurationChange is what an entry did to one parameter: default, override,
// delete or lock. Lost says why it came to nothing.
type TaskConfigurationChange struct {
	Key   string          `json:"key"`
	Does  string          `json:"does"`
	Value json.RawMessage `json:"value,omitempty"`
	Lost  string          `json:"lost,omitempty"`
}
