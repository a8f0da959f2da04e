CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version (version_num) VALUES ('0011');
CREATE TABLE counters (
	name VARCHAR(32) NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO counters (name, value) VALUES ('change', 8);
INSERT INTO counters (name, value) VALUES ('identity', 1678441997335069055);
INSERT INTO counters (name, value) VALUES ('locations', 0);
CREATE TABLE roots (
	id INTEGER NOT NULL, 
	path BLOB NOT NULL, 
	online BOOLEAN NOT NULL, inode BIGINT, 
	PRIMARY KEY (id), 
	UNIQUE (path)
);
INSERT INTO roots (id, path, online, inode) VALUES (1, X'2F6D656469612F70686F746F73', 1, 11);
CREATE TABLE assets (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	content_hash VARCHAR(64) NOT NULL, 
	modality VARCHAR(8) NOT NULL, 
	format VARCHAR(32) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	width_px INTEGER, 
	height_px INTEGER, 
	duration_s FLOAT, 
	taken_at DATETIME, 
	details JSON NOT NULL, 
	UNIQUE (content_hash)
);
INSERT INTO assets (id, content_hash, modality, format, size_bytes, width_px, height_px, duration_s, taken_at, details) VALUES (1, 'dfb4552f28062e4fee9da1550be5529d771b3e538f28ea6bd28fbe9c2ee7007c', 'image', 'jpeg', 5000000, 4000, 3000, NULL, '2024-07-01 12:00:00.000000', '{"camera": "Canon EOS R5", "keywords": "beach; summer", "latitude": 48.2, "longitude": -4.5, "orientation": "landscape"}');
INSERT INTO assets (id, content_hash, modality, format, size_bytes, width_px, height_px, duration_s, taken_at, details) VALUES (2, 'ce106f7404a2e336f9d0dfcfea229d7eb4e78bc1f7bc92726feb8b3a015b9780', 'image', 'png', 20000, 300, 400, NULL, NULL, '{"orientation": "portrait"}');
INSERT INTO assets (id, content_hash, modality, format, size_bytes, width_px, height_px, duration_s, taken_at, details) VALUES (3, 'fa39980014745f6efc3a737d485f9a44d945530fc66c443b15be59db8f96c6d2', 'audio', 'mp3', 1000, NULL, NULL, 200.0, NULL, '{"title": "Blue Danube"}');
INSERT INTO assets (id, content_hash, modality, format, size_bytes, width_px, height_px, duration_s, taken_at, details) VALUES (4, 'e3893a1c1d3208269a519bdffaf44cf111ee2a75dcebf362f2938d04d84a0d6b', 'video', 'mp4', 1000, 1920, 1080, 60.0, NULL, '{}');
INSERT INTO assets (id, content_hash, modality, format, size_bytes, width_px, height_px, duration_s, taken_at, details) VALUES (5, '3fdfb1f7fc9b8334044319dcea5fa511537cb55402cd56e208c019f4bf082a6e', 'text', 'srt', 1000, NULL, NULL, NULL, NULL, '{}');
INSERT INTO assets (id, content_hash, modality, format, size_bytes, width_px, height_px, duration_s, taken_at, details) VALUES (6, '3384876c791c69b1ffff9b9b2a5b99855cac9881f6b346d1befbf4fe2e587ed3', 'text', 'md', 1000, NULL, NULL, NULL, NULL, '{}');
CREATE TABLE generations (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	model TEXT NOT NULL, 
	revision TEXT NOT NULL, 
	state VARCHAR(8) NOT NULL, 
	created_at DATETIME NOT NULL
);
INSERT INTO generations (id, model, revision, state, created_at) VALUES (1, 'fake', '1', 'serving', '2026-11-21 07:47:51.686519');
CREATE TABLE locations (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	asset_id INTEGER NOT NULL, 
	root_id INTEGER NOT NULL, 
	path BLOB NOT NULL, 
	name TEXT NOT NULL, 
	shown TEXT NOT NULL, 
	folders TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	modified_ns BIGINT NOT NULL, 
	inode BIGINT NOT NULL, 
	sidecar_of INTEGER, change BIGINT DEFAULT 0 NOT NULL, 
	FOREIGN KEY(asset_id) REFERENCES assets (id), 
	FOREIGN KEY(root_id) REFERENCES roots (id), 
	UNIQUE (path), 
	FOREIGN KEY(sidecar_of) REFERENCES assets (id) ON DELETE SET NULL
);
INSERT INTO locations (id, asset_id, root_id, path, name, shown, folders, size_bytes, modified_ns, inode, sidecar_of, change) VALUES (1, 1, 1, X'2F6D656469612F70686F746F732F323032342F494D475F323034312E6A7067', 'IMG_2041.jpg', '/media/photos/2024/IMG_2041.jpg', '/media/photos/2024/', 5000000, 1700000000000000000, 1, NULL, 0);
INSERT INTO locations (id, asset_id, root_id, path, name, shown, folders, size_bytes, modified_ns, inode, sidecar_of, change) VALUES (2, 2, 1, X'2F6D656469612F70686F746F732F77696E7465722F736E6F772E706E67', 'snow.png', '/media/photos/winter/snow.png', '/media/photos/winter/', 20000, 1700000000000000000, 1, NULL, 0);
INSERT INTO locations (id, asset_id, root_id, path, name, shown, folders, size_bytes, modified_ns, inode, sidecar_of, change) VALUES (3, 3, 1, X'2F6D656469612F70686F746F732F736F6E672E6D7033', 'song.mp3', '/media/photos/song.mp3', '/media/photos/', 1000, 1700000000000000000, 1, NULL, 0);
INSERT INTO locations (id, asset_id, root_id, path, name, shown, folders, size_bytes, modified_ns, inode, sidecar_of, change) VALUES (4, 4, 1, X'2F6D656469612F70686F746F732F66696C6D2E6D7034', 'film.mp4', '/media/photos/film.mp4', '/media/photos/', 1000, 1700000000000000000, 1, NULL, 0);
INSERT INTO locations (id, asset_id, root_id, path, name, shown, folders, size_bytes, modified_ns, inode, sidecar_of, change) VALUES (5, 5, 1, X'2F6D656469612F70686F746F732F66696C6D2E737274', 'film.srt', '/media/photos/film.srt', '/media/photos/', 1000, 1700000000000000000, 1, 4, 0);
INSERT INTO locations (id, asset_id, root_id, path, name, shown, folders, size_bytes, modified_ns, inode, sidecar_of, change) VALUES (6, 6, 1, X'2F6D656469612F70686F746F732F6E6F7465732F666F782E6D64', 'fox.md', '/media/photos/notes/fox.md', '/media/photos/notes/', 1000, 1700000000000000000, 1, NULL, 0);
CREATE INDEX locations_by_asset ON locations (asset_id);
CREATE INDEX locations_by_root ON locations (root_id);
CREATE INDEX locations_by_video ON locations (sidecar_of);
CREATE TABLE failures (
	id INTEGER NOT NULL, 
	root_id INTEGER NOT NULL, 
	path BLOB NOT NULL, 
	stage VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	failed_at DATETIME NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	modified_ns BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(root_id) REFERENCES roots (id), 
	UNIQUE (path)
);
INSERT INTO failures (id, root_id, path, stage, reason, failed_at, size_bytes, modified_ns) VALUES (1, 1, X'2F6D656469612F70686F746F732F62726F6B656E2E6A7067', 'decode', 'truncated', '2026-11-21 07:47:51.759654', 12, 34);
CREATE TABLE spaces (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	generation_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	revision TEXT NOT NULL, 
	dim INTEGER NOT NULL, 
	FOREIGN KEY(generation_id) REFERENCES generations (id)
);
INSERT INTO spaces (id, generation_id, name, revision, dim) VALUES (1, 1, 'test', '1', 8);
CREATE TABLE encodings (
	generation_id INTEGER NOT NULL, 
	asset_id INTEGER NOT NULL, damaged BOOLEAN DEFAULT false NOT NULL, 
	PRIMARY KEY (generation_id, asset_id), 
	FOREIGN KEY(generation_id) REFERENCES generations (id), 
	FOREIGN KEY(asset_id) REFERENCES assets (id)
);
INSERT INTO encodings (generation_id, asset_id, damaged) VALUES (1, 1, 0);
INSERT INTO encodings (generation_id, asset_id, damaged) VALUES (1, 2, 0);
INSERT INTO encodings (generation_id, asset_id, damaged) VALUES (1, 3, 0);
INSERT INTO encodings (generation_id, asset_id, damaged) VALUES (1, 4, 0);
INSERT INTO encodings (generation_id, asset_id, damaged) VALUES (1, 5, 0);
INSERT INTO encodings (generation_id, asset_id, damaged) VALUES (1, 6, 0);
CREATE INDEX encodings_by_asset ON encodings (asset_id);
CREATE TABLE segments (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	generation_id INTEGER NOT NULL, 
	asset_id INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	modality VARCHAR(8) NOT NULL, 
	start_s FLOAT, 
	stop_s FLOAT, 
	text TEXT, crc BIGINT, page INTEGER, origin VARCHAR(10), language VARCHAR(8), confidence FLOAT, box JSON, 
	FOREIGN KEY(generation_id) REFERENCES generations (id), 
	FOREIGN KEY(asset_id) REFERENCES assets (id)
);
INSERT INTO segments (id, generation_id, asset_id, ordinal, modality, start_s, stop_s, text, crc, page, origin, language, confidence, box) VALUES (1, 1, 1, 0, 'image', NULL, NULL, NULL, 1667908769, NULL, NULL, NULL, NULL, NULL);
INSERT INTO segments (id, generation_id, asset_id, ordinal, modality, start_s, stop_s, text, crc, page, origin, language, confidence, box) VALUES (2, 1, 2, 0, 'image', NULL, NULL, NULL, 2859813918, NULL, NULL, NULL, NULL, NULL);
INSERT INTO segments (id, generation_id, asset_id, ordinal, modality, start_s, stop_s, text, crc, page, origin, language, confidence, box) VALUES (3, 1, 3, 0, 'audio', 0.0, 10.0, NULL, 746504465, NULL, NULL, NULL, NULL, NULL);
INSERT INTO segments (id, generation_id, asset_id, ordinal, modality, start_s, stop_s, text, crc, page, origin, language, confidence, box) VALUES (4, 1, 3, 1, 'audio', 5.0, 15.0, NULL, 2981833310, NULL, NULL, NULL, NULL, NULL);
INSERT INTO segments (id, generation_id, asset_id, ordinal, modality, start_s, stop_s, text, crc, page, origin, language, confidence, box) VALUES (5, 1, 3, 2, 'audio', 10.0, 20.0, NULL, 2143517477, NULL, NULL, NULL, NULL, NULL);
INSERT INTO segments (id, generation_id, asset_id, ordinal, modality, start_s, stop_s, text, crc, page, origin, language, confidence, box) VALUES (6, 1, 4, 0, 'video', 0.0, 60.0, NULL, 1427992539, NULL, NULL, NULL, NULL, NULL);
INSERT INTO segments (id, generation_id, asset_id, ordinal, modality, start_s, stop_s, text, crc, page, origin, language, confidence, box) VALUES (7, 1, 5, 0, 'text', 3.0, 5.0, 'We sail at dawn, captain.', 2709236110, NULL, 'subtitles', NULL, NULL, NULL);
INSERT INTO segments (id, generation_id, asset_id, ordinal, modality, start_s, stop_s, text, crc, page, origin, language, confidence, box) VALUES (8, 1, 6, 0, 'text', NULL, NULL, 'The quick brown fox jumps over the lazy dog.', 2116666986, NULL, NULL, NULL, NULL, NULL);
CREATE INDEX segments_by_modality ON segments (generation_id, modality);
CREATE INDEX segments_by_asset ON segments (asset_id, generation_id);
CREATE TABLE removals (
	segment_id INTEGER NOT NULL, 
	generation_id INTEGER NOT NULL, 
	change BIGINT NOT NULL, 
	PRIMARY KEY (segment_id), 
	FOREIGN KEY(generation_id) REFERENCES generations (id)
);
INSERT INTO removals (segment_id, generation_id, change) VALUES (9, 1, 8);
CREATE INDEX removals_by_change ON removals (generation_id, change);
CREATE TABLE "generation_blobs" (
	generation_id INTEGER NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	data BLOB NOT NULL, 
	PRIMARY KEY (generation_id, name), 
	FOREIGN KEY(generation_id) REFERENCES generations (id)
);
INSERT INTO generation_blobs (generation_id, name, data) VALUES (1, 'text>image', X'616263');
CREATE TABLE vectors (
	segment_id INTEGER NOT NULL, 
	space_id INTEGER NOT NULL, 
	modality VARCHAR(8) NOT NULL, 
	change BIGINT NOT NULL, 
	data BLOB NOT NULL, crc BIGINT, 
	PRIMARY KEY (segment_id, space_id), 
	FOREIGN KEY(segment_id) REFERENCES segments (id), 
	FOREIGN KEY(space_id) REFERENCES spaces (id)
);
INSERT INTO vectors (segment_id, space_id, modality, change, data, crc) VALUES (1, 1, 'image', 1, X'1EA05828952FD5B54EB94EB8F63439B1', 4076665443);
INSERT INTO vectors (segment_id, space_id, modality, change, data, crc) VALUES (2, 1, 'image', 2, X'46B70C3409B6AB352CB261A6193949B0', 1044979722);
INSERT INTO vectors (segment_id, space_id, modality, change, data, crc) VALUES (3, 1, 'audio', 3, X'5E3133359BAF3AB9AC3047B563B5D236', 1370627415);
INSERT INTO vectors (segment_id, space_id, modality, change, data, crc) VALUES (4, 1, 'audio', 3, X'F03972B4F2369F328FAEB334D4B19E2E', 912696471);
INSERT INTO vectors (segment_id, space_id, modality, change, data, crc) VALUES (5, 1, 'audio', 3, X'A2B62E2E991B37272B3A1DB5A1A591B5', 2520905096);
INSERT INTO vectors (segment_id, space_id, modality, change, data, crc) VALUES (6, 1, 'video', 4, X'A0327C3A81A9F2AF4EB3A7357D344631', 3527667869);
INSERT INTO vectors (segment_id, space_id, modality, change, data, crc) VALUES (7, 1, 'text', 5, X'0AB732B20335A73815385E3186B251AA', 3568365722);
INSERT INTO vectors (segment_id, space_id, modality, change, data, crc) VALUES (8, 1, 'text', 6, X'5DB928348E369CB2B32E54345836AB31', 1255375214);
CREATE INDEX vectors_by_change ON vectors (space_id, modality, change);
CREATE TABLE fingerprints (
	asset_id INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	data BLOB NOT NULL, 
	PRIMARY KEY (asset_id), 
	FOREIGN KEY(asset_id) REFERENCES assets (id)
);
CREATE TABLE readings (
	asset_id INTEGER NOT NULL, 
	reader VARCHAR(10) NOT NULL, 
	engine TEXT NOT NULL, 
	state VARCHAR(8) NOT NULL, 
	reason TEXT NOT NULL, 
	language VARCHAR(8), 
	cost_s FLOAT NOT NULL, 
	lines BLOB NOT NULL, 
	PRIMARY KEY (asset_id, reader), 
	FOREIGN KEY(asset_id) REFERENCES assets (id)
);
CREATE TABLE settings (
	name VARCHAR(32) NOT NULL, 
	value JSON NOT NULL, 
	PRIMARY KEY (name)
);
CREATE INDEX locations_by_change ON locations (change);
CREATE TABLE items (
	asset_id INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	added_at DATETIME NOT NULL, 
	changed_at DATETIME NOT NULL, 
	content_name TEXT, 
	content BLOB, 
	PRIMARY KEY (asset_id), 
	FOREIGN KEY(asset_id) REFERENCES assets (id), 
	UNIQUE ("key")
);
CREATE TABLE item_fields (
	name VARCHAR(64) NOT NULL, 
	type VARCHAR(8) NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE item_values (
	asset_id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	position INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	number FLOAT, 
	time DATETIME, 
	PRIMARY KEY (asset_id, name, position), 
	FOREIGN KEY(asset_id) REFERENCES items (asset_id), 
	FOREIGN KEY(name) REFERENCES item_fields (name)
);
CREATE INDEX item_values_by_name ON item_values (name, number);
INSERT INTO sqlite_sequence (name, seq) VALUES ('assets', 6);
INSERT INTO sqlite_sequence (name, seq) VALUES ('generations', 1);
INSERT INTO sqlite_sequence (name, seq) VALUES ('locations', 6);
INSERT INTO sqlite_sequence (name, seq) VALUES ('spaces', 1);
INSERT INTO sqlite_sequence (name, seq) VALUES ('segments', 8);
INSERT INTO sqlite_sequence (name, seq) VALUES ('assets', 6);
INSERT INTO sqlite_sequence (name, seq) VALUES ('generations', 1);
INSERT INTO sqlite_sequence (name, seq) VALUES ('locations', 6);
INSERT INTO sqlite_sequence (name, seq) VALUES ('spaces', 1);
INSERT INTO sqlite_sequence (name, seq) VALUES ('segments', 8);
INSERT INTO sqlite_sequence (name, seq) VALUES ('assets', 6);
INSERT INTO sqlite_sequence (name, seq) VALUES ('generations', 1);
INSERT INTO sqlite_sequence (name, seq) VALUES ('locations', 6);
INSERT INTO sqlite_sequence (name, seq) VALUES ('spaces', 1);
INSERT INTO sqlite_sequence (name, seq) VALUES ('segments', 8);
INSERT INTO sqlite_sequence (name, seq) VALUES ('assets', 6);
INSERT INTO sqlite_sequence (name, seq) VALUES ('generations', 1);
INSERT INTO sqlite_sequence (name, seq) VALUES ('locations', 6);
INSERT INTO sqlite_sequence (name, seq) VALUES ('spaces', 1);
INSERT INTO sqlite_sequence (name, seq) VALUES ('segments', 8);
INSERT INTO sqlite_sequence (name, seq) VALUES ('assets', 6);
INSERT INTO sqlite_sequence (name, seq) VALUES ('generations', 1);
INSERT INTO sqlite_sequence (name, seq) VALUES ('locations', 6);
INSERT INTO sqlite_sequence (name, seq) VALUES ('spaces', 1);
INSERT INTO sqlite_sequence (name, seq) VALUES ('segments', 8);
INSERT INTO sqlite_sequence (name, seq) VALUES ('assets', 7);
INSERT INTO sqlite_sequence (name, seq) VALUES ('locations', 7);
INSERT INTO sqlite_sequence (name, seq) VALUES ('segments', 9);
