-- A database as schema 4 wrote it, with at least one row of everything. Never edit: later versions must open it.
PRAGMA application_id = 1213355080;
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE conversations (
        id TEXT NOT NULL,
        title TEXT NOT NULL,
        title_is_custom BOOLEAN DEFAULT 0 NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        deleted_at INTEGER,
        draft TEXT NOT NULL,
        active_leaf_id TEXT,
        model_path TEXT,
        system_prompt TEXT,
        CONSTRAINT pk_conversations PRIMARY KEY (id)
    );
INSERT INTO "conversations" VALUES('00000000000000000000000000000001','Über Bäume',1,1795168860000000,1795170600000000,NULL,'and then','00000000000000000000000000000012',NULL,NULL);
INSERT INTO "conversations" VALUES('00000000000000000000000000000002','',0,1795168800000000,1795168920000000,NULL,'',NULL,'/models/small.gguf','Be brief.');
INSERT INTO "conversations" VALUES('00000000000000000000000000000003','Old',0,1795168800000000,1795168800000000,1795168980000000,'',NULL,NULL,NULL);
CREATE TABLE downloads (
        id TEXT NOT NULL,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        repo TEXT NOT NULL,
        quantization TEXT NOT NULL,
        folder TEXT NOT NULL,
        files TEXT NOT NULL,
        state TEXT NOT NULL,
        done_bytes INTEGER NOT NULL,
        total_bytes INTEGER NOT NULL,
        error TEXT,
        path TEXT NOT NULL,
        replaces BOOLEAN DEFAULT 0 NOT NULL,
        changed_at INTEGER NOT NULL,
        CONSTRAINT pk_downloads PRIMARY KEY (id)
    );
INSERT INTO "downloads" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0,'Big','acme/Big-GGUF','Q4_K_M','/models/acme/Big-GGUF','[{"repo": "acme/Big-GGUF", "path": "Q4_K_M/big-00001-of-00002.gguf", "commit": "dddddddddddddddddddddddddddddddddddddddd", "sha256": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "size_bytes": 40000000000}, {"repo": "acme/Big-GGUF", "path": "Q4_K_M/big-00002-of-00002.gguf", "commit": "dddddddddddddddddddddddddddddddddddddddd", "sha256": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "size_bytes": 40000000000}]','queued',5000000000,80000000000,NULL,'',0,1795262400000000);
INSERT INTO "downloads" VALUES('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',1,'Small','acme/Small-GGUF','Q8_0','/models/acme/Small-GGUF','[{"repo": "acme/Small-GGUF", "path": "small.gguf", "commit": "", "sha256": "", "size_bytes": 0}]','failed',0,0,'{"kind": "disk_space", "details": {"needed_bytes": 7, "free_bytes": 1, "path": "/models"}}','',1,1795262400000000);
CREATE TABLE messages (
        position INTEGER NOT NULL,
        id TEXT NOT NULL,
        conversation_id TEXT NOT NULL,
        parent_id TEXT,
        role TEXT NOT NULL,
        state TEXT NOT NULL,
        parts TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        model_name TEXT,
        usage TEXT,
        error TEXT,
        CONSTRAINT pk_messages PRIMARY KEY (position),
        CONSTRAINT uq_messages_id UNIQUE (id),
        CONSTRAINT fk_messages_conversation_id
            FOREIGN KEY (conversation_id) REFERENCES conversations (id) ON DELETE CASCADE,
        CONSTRAINT fk_messages_parent_id FOREIGN KEY (parent_id) REFERENCES messages (id)
    );
INSERT INTO "messages" VALUES(1,'00000000000000000000000000000011','00000000000000000000000000000001',NULL,'user','complete','[{"kind":"text","text":"What is a tree? 🌳"}]',1795168860000000,NULL,NULL,NULL);
INSERT INTO "messages" VALUES(2,'00000000000000000000000000000012','00000000000000000000000000000001','00000000000000000000000000000011','assistant','complete','[{"kind":"reasoning","text":"Hm."},{"kind":"text","text":"A plant."}]',1795168920000000,'Small','{"prompt_tokens":12,"reused_tokens":3,"completion_tokens":2,"prompt_ms":100.0,"generation_ms":200.0,"first_token_ms":150.0}',NULL);
INSERT INTO "messages" VALUES(3,'00000000000000000000000000000013','00000000000000000000000000000001','00000000000000000000000000000011','assistant','failed','[{"kind":"hologram","data":[1]}]',1795168980000000,'Small',NULL,'{"kind":"decode_failed","details":{"reason":"x"}}');
CREATE TABLE meta (
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        CONSTRAINT pk_meta PRIMARY KEY (key)
    );
INSERT INTO "meta" VALUES('app_version','0.1.0');
CREATE TABLE model_files (
        path TEXT NOT NULL,
        name TEXT NOT NULL,
        given_name TEXT DEFAULT '' NOT NULL,
        owner TEXT NOT NULL,
        parts TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        modified_ns INTEGER NOT NULL,
        architecture TEXT NOT NULL,
        parameters INTEGER NOT NULL,
        quantization TEXT NOT NULL,
        context_length INTEGER NOT NULL,
        has_template BOOLEAN NOT NULL,
        licence TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        repo TEXT NOT NULL,
        revision TEXT NOT NULL,
        template TEXT,
        added_at INTEGER NOT NULL,
        last_used_at INTEGER,
        is_hidden BOOLEAN DEFAULT 0 NOT NULL,
        template_state TEXT DEFAULT '' NOT NULL,
        template_used TEXT DEFAULT '' NOT NULL,
        template_looked_by TEXT DEFAULT '' NOT NULL,
        CONSTRAINT pk_model_files PRIMARY KEY (path)
    );
INSERT INTO "model_files" VALUES('/models/small.gguf','Small','','hearth','[]',12000000,0,'llama',2000000,'',0,0,'','','','',NULL,1795169100000000,1795169100000000,0,'missing','chatml','0.1.0');
INSERT INTO "model_files" VALUES('/ollama/blobs/sha256-aa','llama3.2:3b','','ollama','[]',2000000000,5,'llama',3200000000,'Q4_K_M',131072,1,'llama3.2','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','','',NULL,1795244400000000,NULL,1,'','','');
INSERT INTO "model_files" VALUES('/models/big-00001-of-00002.gguf','Big','My big one','hearth','["/models/big-00001-of-00002.gguf", "/models/big-00002-of-00002.gguf"]',80000000000,6,'qwen3',122000000000,'Q4_K_M',40960,0,'apache-2.0','','acme/Big-GGUF','dddddddddddddddddddddddddddddddddddddddd','{{ messages }}',1795244400000000,NULL,0,'','','');
CREATE TABLE model_folders (
        path TEXT NOT NULL,
        added_at INTEGER NOT NULL,
        CONSTRAINT pk_model_folders PRIMARY KEY (path)
    );
INSERT INTO "model_folders" VALUES('/models',1795244400000000);
CREATE INDEX ix_conversations_deleted_at_updated_at ON conversations (deleted_at, updated_at);
CREATE INDEX ix_messages_conversation_id ON messages (conversation_id);
CREATE INDEX ix_messages_parent_id ON messages (parent_id);
CREATE INDEX ix_messages_streaming ON messages (state) WHERE state = 'streaming';
CREATE INDEX ix_model_files_last_used_at ON model_files (last_used_at);
COMMIT;
