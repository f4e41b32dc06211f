package server

import (
	"net/http"

	"debusine"
	"debusine/api"
)

// base10 is where Debusine's API lives.
const base10 = "/api/1.0/"

// routes is every address that this server answers: method, path, the right
// that it asks for, the handler, what it is for, what goes in and what comes
// out. Paths and payloads are Debusine's; what is ours alone says so.
func (s *Server) routes() []route {
	const (
		get, post, put, patch, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
		ok, created, gone          = http.StatusOK, http.StatusCreated, http.StatusNoContent
	)
	list := []route{
		{get, "whoami/", debusine.Anything, s.whoami, "who the token is", nil, api.Whoami{}, ok, false},
		{get, "service-status/", debusine.Anything, s.serviceStatus, "queues and workers at a glance", nil, api.ServiceStatus{}, ok, false},

		{get, "work-request/", debusine.ReadOwn, s.listWorkRequests, "list work requests, newest first; filters: ids, status, result, task_type, task_name, root_only, parent, workflow_root, workspace", nil, api.Page[api.WorkRequest]{}, ok, false},
		{post, "work-request/", debusine.CreateWorkRequest, s.createWorkRequest, "create a work request that stands alone", api.WorkRequestCreate{}, api.WorkRequest{}, ok, false},
		{get, "work-request/:id/", debusine.ReadWorkRequest, s.showWorkRequest, "show a work request", nil, api.WorkRequest{}, ok, false},
		{patch, "work-request/:id/", debusine.SetPriority, s.patchWorkRequest, "change the priority", api.WorkRequestPatch{}, api.WorkRequest{}, ok, false},
		{post, "work-request/:id/abort/", debusine.AbortWorkRequest, s.abortWorkRequest, "abort it and all below it", nil, api.WorkRequest{}, ok, false},
		{post, "work-request/:id/retry/", debusine.RetryWorkRequest, s.retryWorkRequest, "give it another go", nil, api.WorkRequest{}, ok, false},
		{get, "work-request/:id/external-debsign/", debusine.ProvideSignature, s.showExternalDebsign, "what waits for the signature of who created it", nil, api.WorkRequest{}, ok, false},
		{post, "work-request/:id/external-debsign/", debusine.ProvideSignature, s.provideSignature, "hand in the upload that they signed", api.ExternalDebsign{}, api.WorkRequest{}, ok, false},
		{post, "work-request/:id/retry-now/", debusine.RetryWorkRequest, s.retryNow, "end the waiting for the next try of a step with retry_delays, or of all that wait below a workflow; ours", nil, api.WorkRequest{}, ok, false},
		{post, "work-request/:id/give-up/", debusine.RetryWorkRequest, s.giveUpRetries, "no further try of a step with retry_delays, or of all that wait below a workflow; ours", nil, api.WorkRequest{}, ok, false},
		{post, "work-request/:id/retry-delays/", debusine.RetryWorkRequest, s.setRetryDelays, "other delays between the tries of a step, or of all that wait below a workflow; ours", api.RetryDelays{}, api.WorkRequest{}, ok, false},
		{get, "work-request/:id/log/", debusine.ReadWorkRequest, s.showLog, "the log as far as it is, from byte ?offset= of ?attempt= (default: the newest), or its last ?tail= lines; ours", nil, nil, ok, true},
		{get, "work-request/:id/log/events/", debusine.ReadWorkRequest, s.followLog, "the log as it grows, as server-sent events (text/event-stream): log, in base64, then attempt, wait, full, end; Last-Event-ID, or offset, attempt and tail, say from where; ours", nil, api.LogMark{}, ok, true},
		{post, "work-request/:id/log/", debusine.AppendWorkLog, s.appendLog, "append to the live log at ?offset=; ours, for workers", nil, nil, gone, false},
		{post, "work-request/:id/begin/", debusine.BeginWork, s.begin, "may this task be run? ours, for workers", api.Begin{}, api.BeginAnswer{}, ok, false},
		{post, "work-request/:id/heard/", debusine.CompleteWork, s.heard, "a heartbeat; ours, for signing workers", nil, api.Heard{}, ok, false},
		{put, "work-request/:id/completed/", debusine.CompleteWork, s.complete, "record how it ended; for workers", api.Complete{}, nil, ok, false},
		{post, "workflow/", debusine.StartWorkflow, s.startWorkflow, "start a workflow", api.WorkflowCreate{}, api.WorkRequest{}, created, false},

		{get, "workflow-template/:workspace/", debusine.ReadWorkspace, s.listTemplates, "list workflow templates", nil, api.Page[api.WorkflowTemplate]{}, ok, false},
		{post, "workflow-template/:workspace/", debusine.ConfigureSpace, s.createTemplate, "create a workflow template", api.WorkflowTemplate{}, api.WorkflowTemplate{}, created, false},
		{get, "workflow-template/:workspace/:template/", debusine.ReadWorkspace, s.showTemplate, "show a workflow template, by name or number", nil, api.WorkflowTemplate{}, ok, false},
		{patch, "workflow-template/:workspace/:template/", debusine.ConfigureSpace, s.patchTemplate, "change a workflow template", api.WorkflowTemplate{}, api.WorkflowTemplate{}, ok, false},
		{del, "workflow-template/:workspace/:template/", debusine.ConfigureSpace, s.deleteTemplate, "delete a workflow template", nil, nil, gone, false},

		{get, "schedule/:workspace/", debusine.ReadWorkspace, s.listSchedules, "list schedules, each with its last run; ours", nil, api.Page[api.Schedule]{}, ok, false},
		{post, "schedule/:workspace/", debusine.ConfigureSpace, s.createSchedule, "start a workflow template again and again, on behalf of who asks; ours", api.ScheduleCreate{}, api.Schedule{}, created, false},
		{get, "schedule/:workspace/:schedule/", debusine.ReadWorkspace, s.showSchedule, "show a schedule with its last and next runs; ours", nil, api.Schedule{}, ok, false},
		{patch, "schedule/:workspace/:schedule/", debusine.ConfigureSpace, s.patchSchedule, "pause a schedule, or let it go on; ours", api.SchedulePatch{}, api.Schedule{}, ok, false},
		{del, "schedule/:workspace/:schedule/", debusine.ConfigureSpace, s.deleteSchedule, "delete a schedule; what it started stays; ours", nil, nil, gone, false},
		{post, "schedule/:workspace/:schedule/run/", debusine.ConfigureSpace, s.runSchedule, "start now what a schedule is for, on behalf of who made it; ours", nil, api.WorkRequest{}, created, false},

		{get, "artifact/", debusine.ReadOwn, s.listArtifacts, "list artifacts, newest first; filters: workspace, category, work_request; ours", nil, api.Page[api.Artifact]{}, ok, false},
		{post, "artifact/", debusine.CreateArtifact, s.createArtifact, "announce an artifact", api.ArtifactCreate{}, api.Artifact{}, created, false},
		{get, "artifact/:id/", debusine.ReadArtifact, s.showArtifact, "show an artifact; ?archive=tar.gz downloads it", nil, api.Artifact{}, ok, false},
		{get, "artifact/:workspace/:id/", debusine.ReadArtifact, s.showArtifact, "show an artifact of a workspace", nil, api.Artifact{}, ok, false},
		{get, "artifact/:id/files/*", debusine.ReadArtifact, s.downloadFile, "download a file; ranges", nil, nil, ok, true},
		{put, "artifact/:id/files/*", debusine.UploadFile, s.uploadFile, "upload a file; Content-Range resumes", nil, nil, created, true},
		{get, "artifact-relation/", debusine.ReadArtifact, s.listRelations, "list relations of ?artifact= or ?target_artifact=", nil, []api.Relation{}, ok, false},
		{post, "artifact-relation/", debusine.CreateRelation, s.createRelation, "join two artifacts", api.Relation{}, api.Relation{}, created, false},
		{del, "artifact-relation/:id/", debusine.DeleteRelation, s.deleteRelation, "take a relation away", nil, nil, gone, false},

		{get, "collection/:workspace/", debusine.ReadWorkspace, s.listCollections, "list collections", nil, api.Page[api.Collection]{}, ok, false},
		{post, "collection/:workspace/", debusine.ConfigureSpace, s.createCollection, "create a collection", api.Collection{}, api.Collection{}, created, false},
		{get, "collection/:workspace/:category/", debusine.ReadWorkspace, s.showCollectionByID, "show a collection by its number", nil, api.Collection{}, ok, false},
		{patch, "collection/:workspace/:category/", debusine.ConfigureSpace, s.patchCollection, "rename a collection by its number, or change its retention", api.CollectionPatch{}, api.Collection{}, ok, false},
		{del, "collection/:workspace/:category/", debusine.ConfigureSpace, s.deleteCollection, "delete a collection by its number, with what is known of its items", nil, nil, gone, false},
		{get, "collection/:workspace/:category/:name/", debusine.ReadWorkspace, s.showCollection, "show a collection; ?stats=1 counts its items", nil, api.Collection{}, ok, false},
		{get, "collection/:workspace/:category/:name/item/", debusine.ReadWorkspace, s.listItems, "list active items; filters: name, name__startswith, category; ?removed=1 also those that were removed", nil, api.Page[api.CollectionItem]{}, ok, false},
		{post, "collection/:workspace/:category/:name/item/", debusine.ConfigureSpace, s.addItem, "add an artifact; ?replace=1 takes the place of the one of that name; ours", api.CollectionItemCreate{}, api.CollectionItem{}, created, false},
		{get, "collection/:workspace/:category/:name/item/:item/", debusine.ReadWorkspace, s.showItem, "show an item", nil, api.CollectionItem{}, ok, false},
		{del, "collection/:workspace/:category/:name/item/:item/", debusine.ConfigureSpace, s.removeItem, "take an item out", nil, nil, gone, false},
		{get, "task-configuration/:workspace/:name/", debusine.ReadWorkspace, s.showTaskConfiguration, "all entries of a task configuration", nil, api.TaskConfiguration{}, ok, false},
		{post, "task-configuration/:workspace/:name/", debusine.ConfigureSpace, s.replaceTaskConfiguration, "put other entries in place of all", api.TaskConfigurationUpdate{}, api.TaskConfigurationCounts{}, ok, false},
		{post, "task-configuration/:workspace/:name/explain/", debusine.ReadWorkspace, s.explainTaskConfiguration, "which entries apply to some work, and what they change; ours", api.TaskConfigurationQuestion{}, api.TaskConfigurationAnswer{}, ok, false},
		{post, "lookup/single/", debusine.ReadWorkspace, s.lookupSingle, "what a lookup comes to", api.LookupSingle{}, api.LookupResult{}, ok, false},
		{post, "lookup/multiple/", debusine.ReadWorkspace, s.lookupMultiple, "what a lookup of many results comes to", api.LookupMultiple{}, []api.LookupResult{}, ok, false},
		{get, "workspace/:workspace/inheritance/", debusine.ReadWorkspace, s.showInheritance, "from which workspaces one inherits collections", nil, api.Inheritance{}, ok, false},
		{post, "workspace/:workspace/inheritance/", debusine.ConfigureSpace, s.setInheritance, "say from which workspaces one inherits collections", api.Inheritance{}, api.Inheritance{}, ok, false},

		{get, "asset/", debusine.ReadOwn, s.listAssets, "list signing keys and who may use them; filters: workspace, asset, work_request, fingerprint", nil, []api.Asset{}, ok, false},
		{post, "asset/", debusine.CreateAsset, s.createAsset, "make the asset of a key, from its certificate; for signing workers, and for owners of the workspace", api.AssetCreate{}, api.Asset{}, created, false},
		{post, "asset/:category/:slug/sign_with/", debusine.SignWith, s.signWith, "may this be signed, now? for signing workers", api.SignWith{}, api.SigningPermit{}, ok, false},
		{post, "asset/:category/:slug/approve/", debusine.ApproveSignature, s.approveSignature, "agree, as the second person, that a work request signs with a key; ours", api.Approve{}, nil, gone, false},

		{get, "queue/", debusine.ReadOwn, s.listQueues, "what waits for workers, by queue, with estimates of start and duration; filters: queue, workspace; ?limit= of each queue; ours", nil, api.Page[api.Queue]{}, ok, false},
		{get, "worker/", debusine.ReadWorkers, s.listWorkers, "list workers; ours", nil, api.Page[api.Worker]{}, ok, false},
		{post, "worker/register/", debusine.RegisterWorker, s.registerWorker, "register a worker", api.WorkerRegister{}, api.WorkerRegistered{}, created, false},
		{put, "worker/dynamic-metadata/", debusine.TellMetadata, s.tellMetadata, "tell what the machine is; answers where to poll", api.WorkerMetadata{}, api.WorkerHello{}, ok, false},
	}
	for i := range list {
		list[i].path = base10 + list[i].path
	}
	return append(list, route{get, "/api/openapi.json", debusine.Anything, s.openAPI, "this description", nil, nil, ok, false})
}
