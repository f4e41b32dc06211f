package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"debusine"
	"debusine/api"
	"debusine/store"
	"debusine/task"
)

// begin answers a worker that was given a task: run it, or not.
func (s *Server) begin(c *call) error {
	var in api.Begin
	if err := c.bind(&in); err != nil {
		return err
	}
	id, err := c.number("id", "work request")
	if err != nil {
		return err
	}
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	worker, err := s.db.Worker(c.ctx(), c.who.WorkerID)
	if err != nil {
		return err
	}
	if worker.Type == signingWorker {
		return s.beginSigning(c, worker, id, in)
	}
	b, err := s.engine.Begin(c.ctx(), worker, id, in.TaskToken)
	if err != nil {
		return err
	}
	s.tails.wake(id)
	return c.reply(beginAnswer(b))
}

// signingWorker is the type of machines that hold keys, as the table has it.
const signingWorker = "signing"

// beginSigning answers a signing worker, which has its task from Temporal itself.
// What waits for a second person is not begun: waiting is no attempt.
func (s *Server) beginSigning(c *call, worker debusine.Worker, id int64, in api.Begin) error {
	w, _, err := s.db.WorkRequest(c.ctx(), id)
	if err != nil {
		return err
	}
	if w.TaskType != debusine.SigningTask || len(in.TaskToken) == 0 {
		return debusine.Forbiddenf("work request %d is not for signing workers", id)
	}
	if w.Status == debusine.Pending {
		reason, err := s.db.SigningWaits(c.ctx(), id)
		if err != nil {
			return err
		}
		if reason != "" {
			return c.reply(api.BeginAnswer{Decision: api.Wait, Reason: reason})
		}
	}
	b, err := s.engine.BeginSigning(c.ctx(), worker, store.Delivery{WorkRequest: id, Worker: worker.ID, TaskToken: in.TaskToken, Attempt: in.Delivery})
	if err != nil {
		return err
	}
	return c.reply(beginAnswer(b))
}

func beginAnswer(b store.Beginning) api.BeginAnswer {
	out := api.BeginAnswer{Decision: string(b.Verdict), Reason: b.Reason}
	if b.Verdict != store.RunIt {
		return out
	}
	out.Token, out.Attempt, out.TaskName, out.TaskData, out.DynamicData, out.Workspace = b.Secret, b.Number, b.TaskName, b.Data, b.Dynamic, b.Workspace
	limit := 12 * time.Hour
	if d, err := task.DefinitionOf(task.TypeOf(b.TaskName), b.TaskName); err == nil {
		limit = d.Limit
	}
	out.LimitSeconds = int64(limit.Seconds())
	return out
}

// longestOutput of a task, in bytes of JSON.
const longestOutput = 256 << 10

func (s *Server) complete(c *call) error {
	var in api.Complete
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	result, err := debusine.ParseResult(in.Result)
	if err != nil {
		return err
	}
	var output map[string]json.RawMessage
	if len(in.OutputData) > longestOutput {
		return debusine.Invalidf("output_data has %d bytes, %d are allowed", len(in.OutputData), longestOutput)
	}
	if len(in.OutputData) > 0 && json.Unmarshal(in.OutputData, &output) != nil {
		return debusine.Invalid{What: "output_data must be an object", Per: map[string]string{"output_data": "not an object"}}
	}
	if in.OutputData, err = checkFailure(output, result); err != nil {
		return err
	}
	if err := s.engine.Complete(c.ctx(), w.ID, c.who.AttemptID, result, in.OutputData); err != nil {
		return err
	}
	s.tails.wake(w.ID)
	return c.NoContent(http.StatusOK) // as Debusine: 200 and no body
}

// checkFailure reads what a worker says that a build failed of: a class that is
// not known becomes "unknown", so that a worker of a newer release is understood
// in all else, and what succeeded has failed of nothing.
func checkFailure(output map[string]json.RawMessage, result debusine.Result) (json.RawMessage, error) {
	if output == nil {
		return json.RawMessage("{}"), nil
	}
	if raw, said := output["failure"]; said {
		var failure *debusine.BuildFailure
		if err := json.Unmarshal(raw, &failure); err != nil {
			return nil, debusine.Invalid{What: "output_data.failure must be an object with class, stage, mends_with_time and evidence", Per: map[string]string{"output_data": "malformed failure"}}
		}
		delete(output, "failure")
		if failure != nil && result != debusine.Success && result != debusine.Skipped {
			if !failure.Class.Known() {
				failure.Class, failure.MendsWithTime = debusine.FailedUnknown, false
			}
			failure.Stage, failure.Evidence = shortened(failure.Stage, 100), shortened(failure.Evidence, 1000)
			checked, err := json.Marshal(failure)
			if err != nil {
				return nil, err
			}
			output["failure"] = checked
		}
	}
	return json.Marshal(output)
}

// shortened cuts a text to so many bytes, at a character.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
