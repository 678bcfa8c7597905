-- What people say now: of each user, target and name the last word counts; `feedback` keeps them all.
CREATE VIEW IF NOT EXISTS feedback_current AS
SELECT
    project, app, environment, target_kind, target_id, user_id, name,
    max(said.at) AS at,
    argMax(tuple(said.score), (said.at, said.feedback_id)).1 AS score,
    argMax(said.label, (said.at, said.feedback_id)) AS label,
    count() AS versions
FROM feedback AS said
GROUP BY project, app, environment, target_kind, target_id, user_id, name;
