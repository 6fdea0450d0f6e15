// Calendars on the disk → one JSON line for each: the events as KOrganizer, Merkuro and Plasma's clock have them.
#include <KCalendarCore/ICalFormat>
#include <KCalendarCore/MemoryCalendar>
#include <QCoreApplication>
#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTimeZone>
#include <QTextStream>

using namespace KCalendarCore;

static QJsonValue inUtc(const QDateTime &moment)
{
    if (!moment.isValid())
        return QJsonValue::Null;
    if (moment.timeSpec() == Qt::LocalTime)  // a floating time
        return moment.toString(QStringLiteral("yyyy-MM-ddTHH:mm:ss"));
    return moment.toUTC().toString(QStringLiteral("yyyy-MM-ddTHH:mm:ssZ"));
}

static QJsonObject shown(const Event::Ptr &event)
{
    static const char *const words[] = {"", "TENTATIVE", "CONFIRMED", "COMPLETED", "NEEDS-ACTION", "CANCELLED"};
    return {
        {QStringLiteral("uid"), event->uid()},
        {QStringLiteral("sequence"), event->revision()},
        {QStringLiteral("start"), inUtc(event->dtStart())},
        {QStringLiteral("end"), inUtc(event->dtEnd())},
        {QStringLiteral("summary"), event->summary()},
        {QStringLiteral("description"), event->description()},
        {QStringLiteral("location"), event->location()},
        {QStringLiteral("url"), event->url().toString(QUrl::FullyEncoded)},
        {QStringLiteral("status"), QString::fromLatin1(event->status() < 6 ? words[event->status()] : "")},
    };
}

static QJsonObject read(const QString &path)
{
    QFile file(path);
    MemoryCalendar::Ptr calendar(new MemoryCalendar(QTimeZone::systemTimeZone()));
    ICalFormat format;
    if (!file.open(QIODevice::ReadOnly) || !format.fromRawString(calendar, file.readAll()))
        return {{QStringLiteral("error"), QStringLiteral("KCalendarCore refuses it")}};
    QJsonArray events;
    const Event::List all = calendar->rawEvents();
    for (const Event::Ptr &event : all)
        events.append(shown(event));
    return {{QStringLiteral("events"), events}};
}

int main(int argc, char **argv)
{
    QCoreApplication application(argc, argv);
    QTextStream out(stdout);
    out.setCodec("UTF-8");
    for (int i = 1; i < argc; i++)
        out << QJsonDocument(read(QString::fromLocal8Bit(argv[i]))).toJson(QJsonDocument::Compact) << '\n';
    return 0;
}
