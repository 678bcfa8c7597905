-- How many events of the given producers have arrived anywhere.
SELECT
    (SELECT count() FROM calls WHERE producer IN {producers:Array(String)})
    + (SELECT count() FROM requests WHERE producer IN {producers:Array(String)})
    + (SELECT count() FROM steps WHERE producer IN {producers:Array(String)})
    + (SELECT count() FROM feedback WHERE producer IN {producers:Array(String)})
    + (SELECT count() FROM scores WHERE producer IN {producers:Array(String)})
    + (SELECT count() FROM deploys WHERE producer IN {producers:Array(String)})
    + (SELECT count() FROM dead_letters WHERE producer IN {producers:Array(String)}) AS arrived
