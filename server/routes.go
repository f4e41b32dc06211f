package server

import (
	"net/http"
	"slices"

	"debusine"
	"debusine/api"
)

// base10 is where Debusine's API lives.
const base10 = "/api/1.0/"

// routes is every address that this server answers: method, path, the right
// that it asks for, the handler, what it is for, what goes in and what comes
// out. Paths and payloads are Debusine's; what is ours alone says so.
func (s *Server) routes() []route {
	list := slices.Concat([]route{
		{http.MethodGet, "whoami/", debusine.Anything, s.whoami, "who the token is", nil, api.Whoami{}, http.StatusOK, false},
		{http.MethodGet, "service-status/", debusine.Anything, s.serviceStatus, "queues and workers at a glance", nil, api.ServiceStatus{}, http.StatusOK, false},
	}, s.workRoutes(), s.templateRoutes(), s.scheduleRoutes(), s.artifactRoutes(), s.collectionRoutes(), s.assetRoutes(), s.machineRoutes())
	for i := range list {
		list[i].path = base10 + list[i].path
	}
	return append(list, route{http.MethodGet, "/api/openapi.json", debusine.Anything, s.openAPI, "this description", nil, nil, http.StatusOK, false})
}

// workRoutes are those of work requests and workflows.
func (s *Server) workRoutes() []route {
	return []route{
		{http.MethodGet, "work-request/", debusine.ReadOwn, s.listWorkRequests, "list work requests, newest first; filters: ids, status, result, task_type, task_name, root_only, parent, workflow_root, workspace", nil, api.Page[api.WorkRequest]{}, http.StatusOK, false},
		{http.MethodPost, "work-request/", debusine.CreateWorkRequest, s.createWorkRequest, "create a work request that stands alone", api.WorkRequestCreate{}, api.WorkRequest{}, http.StatusOK, false},
		{http.MethodGet, "work-request/:id/", debusine.ReadWorkRequest, s.showWorkRequest, "show a work request", nil, api.WorkRequest{}, http.StatusOK, false},
		{http.MethodPatch, "work-request/:id/", debusine.SetPriority, s.patchWorkRequest, "change the priority", api.WorkRequestPatch{}, api.WorkRequest{}, http.StatusOK, false},
		{http.MethodPost, "work-request/:id/abort/", debusine.AbortWorkRequest, s.abortWorkRequest, "abort it and all below it", nil, api.WorkRequest{}, http.StatusOK, false},
		{http.MethodPost, "work-request/:id/retry/", debusine.RetryWorkRequest, s.retryWorkRequest, "give it another go", nil, api.WorkRequest{}, http.StatusOK, false},
		{http.MethodGet, "work-request/:id/external-debsign/", debusine.ProvideSignature, s.showExternalDebsign, "what waits for the signature of who created it", nil, api.WorkRequest{}, http.StatusOK, false},
		{http.MethodPost, "work-request/:id/external-debsign/", debusine.ProvideSignature, s.provideSignature, "hand in the upload that they signed", api.ExternalDebsign{}, api.WorkRequest{}, http.StatusOK, false},
		{http.MethodPost, "work-request/:id/retry-now/", debusine.RetryWorkRequest, s.retryNow, "end the waiting for the next try of a step with retry_delays, or of all that wait below a workflow; ours", nil, api.WorkRequest{}, http.StatusOK, false},
		{http.MethodPost, "work-request/:id/give-up/", debusine.RetryWorkRequest, s.giveUpRetries, "no further try of a step with retry_delays, or of all that wait below a workflow; ours", nil, api.WorkRequest{}, http.StatusOK, false},
		{http.MethodPost, "work-request/:id/retry-delays/", debusine.RetryWorkRequest, s.setRetryDelays, "other delays between the tries of a step, or of all that wait below a workflow; ours", api.RetryDelays{}, api.WorkRequest{}, http.StatusOK, false},
		{http.MethodGet, "work-request/:id/log/", debusine.ReadWorkRequest, s.showLog, "the log as far as it is, from byte ?offset= of ?attempt= (default: the newest), or its last ?tail= lines; ours", nil, nil, http.StatusOK, true},
		{http.MethodGet, "work-request/:id/log/events/", debusine.ReadWorkRequest, s.followLog, "the log as it grows, as server-sent events (text/event-stream): log, in base64, then attempt, wait, full, end; Last-Event-ID, or offset, attempt and tail, say from where; ours", nil, api.LogMark{}, http.StatusOK, true},
		{http.MethodPost, "work-request/:id/log/", debusine.AppendWorkLog, s.appendLog, "append to the live log at ?offset=; ours, for workers", nil, nil, http.StatusNoContent, false},
		{http.MethodPost, "work-request/:id/begin/", debusine.BeginWork, s.begin, "may this task be run? ours, for workers", api.Begin{}, api.BeginAnswer{}, http.StatusOK, false},
		{http.MethodPost, "work-request/:id/heard/", debusine.CompleteWork, s.heard, "a heartbeat; ours, for signing workers", nil, api.Heard{}, http.StatusOK, false},
		{http.MethodPut, "work-request/:id/completed/", debusine.CompleteWork, s.complete, "record how it ended; for workers", api.Complete{}, nil, http.StatusOK, false},
		{http.MethodPost, "workflow/", debusine.StartWorkflow, s.startWorkflow, "start a workflow", api.WorkflowCreate{}, api.WorkRequest{}, http.StatusCreated, false},
	}
}

// templateRoutes are those of workflow templates.
func (s *Server) templateRoutes() []route {
	return []route{
		{http.MethodGet, "workflow-template/:workspace/", debusine.ReadWorkspace, s.listTemplates, "list workflow templates", nil, api.Page[api.WorkflowTemplate]{}, http.StatusOK, false},
		{http.MethodPost, "workflow-template/:workspace/", debusine.ConfigureSpace, s.createTemplate, "create a workflow template", api.WorkflowTemplate{}, api.WorkflowTemplate{}, http.StatusCreated, false},
		{http.MethodGet, "workflow-template/:workspace/:template/", debusine.ReadWorkspace, s.showTemplate, "show a workflow template, by name or number", nil, api.WorkflowTemplate{}, http.StatusOK, false},
		{http.MethodPatch, "workflow-template/:workspace/:template/", debusine.ConfigureSpace, s.patchTemplate, "change a workflow template", api.WorkflowTemplate{}, api.WorkflowTemplate{}, http.StatusOK, false},
		{http.MethodDelete, "workflow-template/:workspace/:template/", debusine.ConfigureSpace, s.deleteTemplate, "delete a workflow template", nil, nil, http.StatusNoContent, false},
	}
}

// scheduleRoutes are those of schedules.
func (s *Server) scheduleRoutes() []route {
	return []route{
		{http.MethodGet, "schedule/:workspace/", debusine.ReadWorkspace, s.listSchedules, "list schedules, each with its last run; ours", nil, api.Page[api.Schedule]{}, http.StatusOK, false},
		{http.MethodPost, "schedule/:workspace/", debusine.ConfigureSpace, s.createSchedule, "start a workflow template again and again, on behalf of who asks; ours", api.ScheduleCreate{}, api.Schedule{}, http.StatusCreated, false},
		{http.MethodGet, "schedule/:workspace/:schedule/", debusine.ReadWorkspace, s.showSchedule, "show a schedule with its last and next runs; ours", nil, api.Schedule{}, http.StatusOK, false},
		{http.MethodPatch, "schedule/:workspace/:schedule/", debusine.ConfigureSpace, s.patchSchedule, "pause a schedule, or let it go on; ours", api.SchedulePatch{}, api.Schedule{}, http.StatusOK, false},
		{http.MethodDelete, "schedule/:workspace/:schedule/", debusine.ConfigureSpace, s.deleteSchedule, "delete a schedule; what it started stays; ours", nil, nil, http.StatusNoContent, false},
		{http.MethodPost, "schedule/:workspace/:schedule/run/", debusine.ConfigureSpace, s.runSchedule, "start now what a schedule is for, on behalf of who made it; ours", nil, api.WorkRequest{}, http.StatusCreated, false},
	}
}

// artifactRoutes are those of artifacts and their relations.
func (s *Server) artifactRoutes() []route {
	return []route{
		{http.MethodGet, "artifact/", debusine.ReadOwn, s.listArtifacts, "list artifacts, newest first; filters: workspace, category, work_request; ours", nil, api.Page[api.Artifact]{}, http.StatusOK, false},
		{http.MethodPost, "artifact/", debusine.CreateArtifact, s.createArtifact, "announce an artifact", api.ArtifactCreate{}, api.Artifact{}, http.StatusCreated, false},
		{http.MethodGet, "artifact/:id/", debusine.ReadArtifact, s.showArtifact, "show an artifact; ?archive=tar.gz downloads it", nil, api.Artifact{}, http.StatusOK, false},
		{http.MethodGet, "artifact/:workspace/:id/", debusine.ReadArtifact, s.showArtifact, "show an artifact of a workspace", nil, api.Artifact{}, http.StatusOK, false},
		{http.MethodGet, "artifact/:id/files/*", debusine.ReadArtifact, s.downloadFile, "download a file; ranges", nil, nil, http.StatusOK, true},
		{http.MethodPut, "artifact/:id/files/*", debusine.UploadFile, s.uploadFile, "upload a file; Content-Range resumes", nil, nil, http.StatusCreated, true},
		{http.MethodGet, "artifact-relation/", debusine.ReadArtifact, s.listRelations, "list relations of ?artifact= or ?target_artifact=", nil, []api.Relation{}, http.StatusOK, false},
		{http.MethodPost, "artifact-relation/", debusine.CreateRelation, s.createRelation, "join two artifacts", api.Relation{}, api.Relation{}, http.StatusCreated, false},
		{http.MethodDelete, "artifact-relation/:id/", debusine.DeleteRelation, s.deleteRelation, "take a relation away", nil, nil, http.StatusNoContent, false},
	}
}

// collectionRoutes are those of collections, lookups and task configuration.
func (s *Server) collectionRoutes() []route {
	return []route{
		{http.MethodGet, "collection/:workspace/", debusine.ReadWorkspace, s.listCollections, "list collections", nil, api.Page[api.Collection]{}, http.StatusOK, false},
		{http.MethodPost, "collection/:workspace/", debusine.ConfigureSpace, s.createCollection, "create a collection", api.Collection{}, api.Collection{}, http.StatusCreated, false},
		{http.MethodGet, "collection/:workspace/:category/", debusine.ReadWorkspace, s.showCollectionByID, "show a collection by its number", nil, api.Collection{}, http.StatusOK, false},
		{http.MethodPatch, "collection/:workspace/:category/", debusine.ConfigureSpace, s.patchCollection, "rename a collection by its number, or change its retention", api.CollectionPatch{}, api.Collection{}, http.StatusOK, false},
		{http.MethodDelete, "collection/:workspace/:category/", debusine.ConfigureSpace, s.deleteCollection, "delete a collection by its number, with what is known of its items", nil, nil, http.StatusNoContent, false},
		{http.MethodGet, "collection/:workspace/:category/:name/", debusine.ReadWorkspace, s.showCollection, "show a collection; ?stats=1 counts its items", nil, api.Collection{}, http.StatusOK, false},
		{http.MethodGet, "collection/:workspace/:category/:name/item/", debusine.ReadWorkspace, s.listItems, "list active items; filters: name, name__startswith, category; ?removed=1 also those that were removed", nil, api.Page[api.CollectionItem]{}, http.StatusOK, false},
		{http.MethodPost, "collection/:workspace/:category/:name/item/", debusine.ConfigureSpace, s.addItem, "add an artifact; ?replace=1 takes the place of the one of that name; ours", api.CollectionItemCreate{}, api.CollectionItem{}, http.StatusCreated, false},
		{http.MethodGet, "collection/:workspace/:category/:name/item/:item/", debusine.ReadWorkspace, s.showItem, "show an item", nil, api.CollectionItem{}, http.StatusOK, false},
		{http.MethodDelete, "collection/:workspace/:category/:name/item/:item/", debusine.ConfigureSpace, s.removeItem, "take an item out", nil, nil, http.StatusNoContent, false},
		{http.MethodGet, "task-configuration/:workspace/:name/", debusine.ReadWorkspace, s.showTaskConfiguration, "all entries of a task configuration", nil, api.TaskConfiguration{}, http.StatusOK, false},
		{http.MethodPost, "task-configuration/:workspace/:name/", debusine.ConfigureSpace, s.replaceTaskConfiguration, "put other entries in place of all", api.TaskConfigurationUpdate{}, api.TaskConfigurationCounts{}, http.StatusOK, false},
		{http.MethodPost, "task-configuration/:workspace/:name/explain/", debusine.ReadWorkspace, s.explainTaskConfiguration, "which entries apply to some work, and what they change; ours", api.TaskConfigurationQuestion{}, api.TaskConfigurationAnswer{}, http.StatusOK, false},
		{http.MethodPost, "lookup/single/", debusine.ReadWorkspace, s.lookupSingle, "what a lookup comes to", api.LookupSingle{}, api.LookupResult{}, http.StatusOK, false},
		{http.MethodPost, "lookup/multiple/", debusine.ReadWorkspace, s.lookupMultiple, "what a lookup of many results comes to", api.LookupMultiple{}, []api.LookupResult{}, http.StatusOK, false},
		{http.MethodGet, "workspace/:workspace/inheritance/", debusine.ReadWorkspace, s.showInheritance, "from which workspaces one inherits collections", nil, api.Inheritance{}, http.StatusOK, false},
		{http.MethodPost, "workspace/:workspace/inheritance/", debusine.ConfigureSpace, s.setInheritance, "say from which workspaces one inherits collections", api.Inheritance{}, api.Inheritance{}, http.StatusOK, false},
	}
}

// assetRoutes are those of signing keys.
func (s *Server) assetRoutes() []route {
	return []route{
		{http.MethodGet, "asset/", debusine.ReadOwn, s.listAssets, "list signing keys and who may use them; filters: workspace, asset, work_request, fingerprint", nil, []api.Asset{}, http.StatusOK, false},
		{http.MethodPost, "asset/", debusine.CreateAsset, s.createAsset, "make the asset of a key, from its certificate; for signing workers, and for owners of the workspace", api.AssetCreate{}, api.Asset{}, http.StatusCreated, false},
		{http.MethodPost, "asset/:category/:slug/sign_with/", debusine.SignWith, s.signWith, "may this be signed, now? for signing workers", api.SignWith{}, api.SigningPermit{}, http.StatusOK, false},
		{http.MethodPost, "asset/:category/:slug/approve/", debusine.ApproveSignature, s.approveSignature, "agree, as the second person, that a work request signs with a key; ours", api.Approve{}, nil, http.StatusNoContent, false},
		{http.MethodGet, "asset/:category/:slug/role/", debusine.ReadAsset, s.listAssetGroups, "which groups own or see a key; ours", nil, []api.AssetGroup{}, http.StatusOK, false},
		{http.MethodPost, "asset/:category/:slug/role/", debusine.ManageAsset, s.addAssetGroup, "let a group own or see a key; for its owners; ours", api.AssetGroup{}, nil, http.StatusNoContent, false},
		{http.MethodDelete, "asset/:category/:slug/role/:role/:group/", debusine.ManageAsset, s.removeAssetGroup, "take a group's role on a key away; for its owners; ours", nil, nil, http.StatusNoContent, false},
	}
}

// machineRoutes are those of queues and workers.
func (s *Server) machineRoutes() []route {
	return []route{
		{http.MethodGet, "queue/", debusine.ReadOwn, s.listQueues, "what waits for workers, by queue, with estimates of start and duration; filters: queue, workspace; ?limit= of each queue; ours", nil, api.Page[api.Queue]{}, http.StatusOK, false},
		{http.MethodGet, "worker/", debusine.ReadWorkers, s.listWorkers, "list workers; ours", nil, api.Page[api.Worker]{}, http.StatusOK, false},
		{http.MethodPost, "worker/register/", debusine.RegisterWorker, s.registerWorker, "register a worker", api.WorkerRegister{}, api.WorkerRegistered{}, http.StatusCreated, false},
		{http.MethodPut, "worker/dynamic-metadata/", debusine.TellMetadata, s.tellMetadata, "tell what the machine is; answers where to poll", api.WorkerMetadata{}, api.WorkerHello{}, http.StatusOK, false},
	}
}
