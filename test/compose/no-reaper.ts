// testcontainers reads this when it is loaded; its reaper is an image that would have to be pulled.
process.env["TESTCONTAINERS_RYUK_DISABLED"] = "true";
